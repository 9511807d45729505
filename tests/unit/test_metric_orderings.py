"""The orderings that the metrics must keep, on one small clip; and that what is out of order is found."""

import pytest
from PIL import Image

from benchmark_files import load_benchmark

orderings = load_benchmark("metric_orderings")
MEASURED = list(orderings.PERFECT)
PERFECT = [name for name, value in orderings.PERFECT.items() if value is not None]


@pytest.fixture(scope="module")
def grass():
    return orderings.filmed("grass.png", 3, (48, 64))


@pytest.fixture(scope="module")
def blurred(grass):
    return orderings.measure_blurred(grass)


@pytest.fixture(scope="module")
def warped(grass):
    return orderings.measure_warped(grass)


@pytest.mark.parametrize("name", MEASURED)
def test_the_truth_is_perfect_and_more_blur_is_worse(name, blurred):
    assert orderings.truth_is_perfect(name, blurred[name])
    assert orderings.more_blur_is_worse(name, blurred[name])


@pytest.mark.parametrize("name", MEASURED)
def test_values_out_of_order_or_equal_are_found(name, blurred):
    values = blurred[name]
    assert not orderings.more_blur_is_worse(name, values[::-1])
    assert not orderings.more_blur_is_worse(name, [*values[:2], values[3], values[2], *values[4:]])
    assert not orderings.more_blur_is_worse(name, [values[0], *values])


@pytest.mark.parametrize("name", PERFECT)
def test_a_truth_that_is_not_perfect_is_found(name, blurred):
    assert not orderings.truth_is_perfect(name, blurred[name][1:])


def test_one_clip_out_of_order_is_counted(blurred, capsys):
    assert orderings.print_blurred({"one": blurred, "two": blurred})
    assert "| no such value | 2 of 2 |" in capsys.readouterr().out
    wrong = blurred | {"gmsd": blurred["gmsd"][::-1]}
    assert not orderings.print_blurred({"one": blurred, "two": wrong})
    assert "| 1 of 2 | 1 of 2 |" in capsys.readouterr().out


def test_the_point_of_videogigagan(warped):
    truth, bicubic = warped["truth"], warped["bicubic"]
    assert truth[orderings.E_WARP] == truth[orderings.RWE]
    assert orderings.point_holds(warped, "bicubic")
    for name in truth:  # either error alone on the wrong side
        assert not orderings.point_holds(warped | {"bicubic": bicubic | {name: truth[name]}}, "bicubic")


def test_the_figure_is_drawn(blurred, warped, tmp_path):
    file = tmp_path / "not there yet" / "figure.png"
    orderings.draw({"grass": blurred}, {"grass": warped}, file)
    with Image.open(file) as picture:
        assert picture.width == 1200
