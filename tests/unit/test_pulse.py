"""Pulses of quality, luma and detail with the period of a latent frame or of a segment."""

import numpy as np
import pytest
import torch

from realis.metrics.pulse import LEAST, SCORE, PulseMeter, pulse
from realis.ops.resize import resize


def test_a_pulse_is_told_from_other_periods():
    t = np.arange(25)
    at_four, elsewhere = pulse(0.02 * t + 0.3 * np.cos(2 * np.pi * t / 4))
    assert at_four == pytest.approx(0.3, rel=0.02) and elsewhere < 0.01
    at_four, _ = pulse(0.3 * np.cos(2 * np.pi * t / 6))
    assert at_four < 0.03


def test_the_first_frame_and_the_rest_of_a_period_do_not_count():
    t = np.arange(25)
    wave = np.cos(2 * np.pi * t / 4)
    longer = np.concatenate([wave, [7.0, -9.0]])
    longer[0] = 50
    assert pulse(longer) == pulse(wave)


def test_of_noise_no_period_stands_out():
    at_four, elsewhere = pulse(np.random.default_rng(0).normal(size=401))
    assert at_four < 3 * elsewhere


def test_fewer_frames_than_a_period_have_no_pulse():
    pulse(np.ones(5))
    with pytest.raises(ValueError, match="got 4 frames, wanted at least 5 to find a pulse of 4"):
        pulse(np.ones(4))


SIZE = (24, 32)


@pytest.fixture(scope="module")
def clip():
    """Sixty pairs of a result and its input, which fades in; the result has a little noise of its own."""
    random = torch.Generator().manual_seed(0)
    source = torch.rand(3, 12, 16, generator=random) * 0.6 + 0.1
    faded = [source * (0.5 + number / 120) for number in range(60)]
    return [(resize(one, SIZE) + 0.002 * torch.randn(3, *SIZE, generator=random), one) for one in faded]


def measured(clip, plant=lambda frame, number: frame, periods=(4, 7)):
    meter = PulseMeter(periods, {})
    for number, (result, source) in enumerate(clip):
        meter.add(plant(result, number), source, number)
    return {(pulse.what, pulse.period): pulse for pulse in meter.pulses()}


def test_a_clean_result_is_not_accused(clip):
    pulses = measured(clip)
    assert list(pulses) == [("luma", 4), ("detail", 4), ("luma", 7), ("detail", 7)]
    assert all(pulse.severity < 0.8 for pulse in pulses.values())


def test_a_flash_of_the_content_is_not_accused(clip):
    flashes = [(r + 0.1, s + 0.1) if number % 7 == 3 else (r, s) for number, (r, s) in enumerate(clip)]
    assert all(pulse.severity < 0.8 for pulse in measured(flashes).values())


def test_a_scene_cut_at_each_join_is_not_accused(clip):
    """What a method adds differs from shot to shot."""

    def jumps(told):
        meter = PulseMeter([7], {})
        for number, (result, source) in enumerate(clip):
            if number % 7 == 0 and told:
                meter.begin_shot()
            meter.add(result + (number // 7 % 2) * 0.5 / 255, source, number % 7)
        return meter.state["period 7"][0, 0, 0], meter.worst()

    count, found = jumps(told=False)
    assert count >= LEAST and found is not None and found.severity >= 1
    assert jumps(told=True) == (0, None)


@pytest.mark.parametrize(("change", "what", "size"), [
    (lambda frame: frame + 0.5 / 255, "luma", 0.5), (lambda frame: (frame - 0.3) * 1.05 + 0.3, "detail", 0.05),
])  # fmt: skip
def test_a_planted_pulse_is_found(clip, change, what, size):
    pulses = measured(clip, lambda frame, number: frame if number % 7 != 3 else change(frame))
    found = pulses[what, 7]
    assert found.severity >= 1 and found.position == 3
    assert found.size == pytest.approx(size, rel=0.2) and found.usual < found.size / 2


def test_a_jump_at_each_join_is_found_whatever_its_sign(clip):
    pulses = measured(clip, lambda frame, number: frame + (number // 7 % 2) * 0.5 / 255)
    found = pulses["luma", 7]
    assert found.severity >= 1 and found.position in (0, 6)


def test_what_cannot_be_seen_is_not_accused_however_certain(clip):
    flat = [(resize(source, SIZE), source) for _, source in clip]
    found = measured(flat, lambda frame, number: frame + (number % 7 == 0) * 0.05 / 255)["luma", 7]
    assert found.score > SCORE and found.severity < 1


def test_a_short_result_says_nothing(clip):
    assert measured(clip[:50], periods=(7,)) == {}
    assert measured(clip[:35]).keys() == {("luma", 4), ("detail", 4)}
    assert PulseMeter([4], {}).worst() is None


def test_state_goes_on(clip):
    whole, parts = PulseMeter((4, 7), {}), PulseMeter((4, 7), {})
    for number, pair in enumerate(clip):
        whole.add(*pair, number)
        parts.add(*pair, number)
        parts = PulseMeter((4, 7), parts.state)
    assert list(whole.pulses()) == list(parts.pulses()) != []
