"""The meters around every upscale: what they are told of a plan, their state, and what they say."""

from fractions import Fraction

import pytest
import torch

from realis.metrics.seam import Line
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Needs, NoiseGrid, Segments
from realis.upscaling.app.meters import Meters, log_meters, tile_lines
from realis.upscaling.app.plan import Plan
from realis.video.encoding import Encoding

SIZE = (96, 160)
NEEDS = Needs(Segments(9, 5, period=4), tile=(96, 96), tile_overlap=32, multiple=16, noise=NoiseGrid(16, 4, 8))


def plan_of(size=SIZE, native_size=SIZE, needs=NEEDS):
    tiles = plan_tiles(native_size, needs.tile, needs.tile_overlap, needs.multiple)
    return Plan(size, Fraction(1), Encoding(), needs, native_size, tiles)


def frames(number):
    random = torch.Generator().manual_seed(0)
    for _ in range(number):
        source = torch.rand(3, 24, 40, generator=random)
        yield resize(source, SIZE).clamp(0, 1) + 0.01 * torch.randn(3, *SIZE, generator=random), source


def test_lines_are_where_tiles_share_pixels_of_the_result():
    assert tile_lines(plan_of()) == [Line("x", 64, 96)]
    assert tile_lines(plan_of((48, 80))) == [Line("x", 32, 48)]  # half of what the method makes
    assert tile_lines(plan_of((36, 60))) == [Line("x", 24, 36)]
    (row,) = tile_lines(plan_of((150, 90), (150, 90)))
    assert row == Line("y", 64, 96)


def test_a_method_that_only_resizes_is_not_measured():
    meters = Meters(plan_of(needs=Needs(Segments(8))), {})
    for number, (result, source) in enumerate(frames(9)):
        meters.add(result, source, number % 8)
    assert meters.notes() == {}


def test_state_goes_on_and_is_taken_out_of_what_a_method_keeps():
    whole, parts = Meters(plan_of(), {}), Meters(plan_of(), {})
    for number, (result, source) in enumerate(frames(36)):
        whole.add(result, source, number % 4)
        parts.add(result, source, number % 4)
        carry = {"tail": torch.zeros(1), **parts.state}
        parts = Meters(plan_of(), carry)
        assert carry.keys() == {"tail"}
    assert parts.notes() == whole.notes() and whole.notes().keys() == {"seams", "pulses"}


@pytest.mark.parametrize(("severity", "level", "said"), [(0.4, "INFO", "none seen"), (1.2, "WARNING", "probably")])
def test_what_is_bad_is_a_warning(caplog, severity, level, said):
    with caplog.at_level("INFO", logger="realis"):
        log_meters(
            {
                "seams": {"line": "x = 832", "step": 1.04, "detail": 0.97, "severity": severity},
                "pulses": {"what": "detail", "period": 4, "position": 0, "size": 0.021, "usual": 0.004,
                           "score": 5.0, "severity": severity},
            }
        )  # fmt: skip
    seams, pulses = caplog.records
    assert seams.levelname == pulses.levelname == level
    assert "at x = 832 steps are 1.04 times and detail 0.97 times" in seams.getMessage() and said in seams.getMessage()
    assert "differs from its neighbours by 2.1 %, of others by 0.4" in pulses.getMessage()
    assert said in pulses.getMessage()
