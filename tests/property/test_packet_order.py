"""Times of packets: few move, and those that do go between their neighbours."""

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from realis.video.packet_order import repaired_time

steps = st.sampled_from([0, 1, 3])
rising_times = st.lists(st.integers(6, 50), min_size=6, max_size=30).map(lambda gaps: list(accumulate(gaps)))


def settle(times, step, duration=0):
    done = []
    for i in range(len(times)):
        done.append(repaired_time(times[i:], done[-1] if done else None, step, duration))
    return done


@given(st.lists(st.none() | st.integers(-200, 200), max_size=20), steps)
def test_times_rise_whatever_they_were(times, step):
    done = settle(times, step)
    assert all(b - a >= step for a, b in pairwise(done))


@given(rising_times, steps)
def test_times_that_rise_stay(times, step):
    assert settle(times, step) == times


@given(rising_times, steps, st.data())
def test_a_wrong_time_moves_alone(times, step, data):
    """Wrong by at least two packets: by one, either of the two may be the one that is wrong."""
    place = data.draw(st.integers(0, len(times) - 1))
    ahead = [times[place + 2] + n for n in (1, 1000)] if place + 2 < len(times) else []
    behind = [times[place - 2] - n for n in (1, 1000)] if place >= 2 else []
    wrong = times.copy()
    wrong[place] = data.draw(st.sampled_from([None, *ahead, *behind]))
    done = settle(wrong, step)
    assert done[:place] + done[place + 1 :] == times[:place] + times[place + 1 :]
    neighbours = times[max(place - 1, 0) : place + 2]
    assert min(neighbours) - step <= done[place]
    assert place == len(times) - 1 or done[place] <= max(neighbours)


def test_a_run_of_wrong_times_is_spread_between_its_neighbours():
    assert settle([0, 40, 5000, 5040, 160, 200, 240], 1) == [0, 40, 80, 120, 160, 200, 240]


def test_a_last_time_that_is_wrong_lies_a_duration_after_the_one_before():
    assert settle([0, 40, 80, 30], 1, duration=40) == [0, 40, 80, 120]
