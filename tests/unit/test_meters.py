"""The meters around every upscale: what they are told of a plan, their state, and what they say."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from realis.metrics.pulse import Pulse
from realis.metrics.seam import Line, Seam
from realis.ops.resize import resize
from realis.tiling.blend import ramp
from realis.upscaler import Needs, NoiseGrid, Segments
from realis.upscaling.app.meters import Meters, log_meters, tile_lines
from realis.upscaling.app.plan import Plan, tiles_of
from realis.upscaling.interpolation import InterpolationUpscaler
from realis.video.encoding import Encoding

SIZE = (96, 160)
NEEDS = Needs(Segments(9, 5, period=4), tile=(96, 96), tile_overlap=32, multiple=16, noise=NoiseGrid(16, 4, 8))


def plan_of(size=SIZE, native_size=SIZE, needs=NEEDS):
    return Plan(size, Fraction(1), Encoding(), needs, native_size, tiles_of(native_size, needs, needs.tile))


def lines_of(plan):
    return tile_lines(plan.tiles, plan.native_size, plan.size)


def frames(number):
    random = torch.Generator().manual_seed(0)
    for _ in range(number):
        source = torch.rand(3, 24, 40, generator=random)
        yield resize(source, SIZE).clamp(0, 1) + 0.01 * torch.randn(3, *SIZE, generator=random), source


def test_lines_are_where_tiles_share_pixels_of_the_result():
    assert lines_of(plan_of()) == [Line("x", 64, 96)]
    assert lines_of(plan_of((48, 80))) == [Line("x", 32, 48)]  # half of what the method makes
    assert lines_of(plan_of((36, 60))) == [Line("x", 24, 36)]
    (row,) = lines_of(plan_of((150, 90), (150, 90)))
    assert row == Line("y", 64, 96)


def test_exact_tiles_share_what_is_left_over():
    exact, size = replace(NEEDS, tile_exact=True), (104, 120)
    assert lines_of(plan_of(size, size, exact)) == [Line("y", 16, 96), Line("x", 32, 96)]  # of a canvas of 112x128
    meters = Meters(plan_of(size, size, exact), {})
    source = torch.rand(3, 26, 30, generator=torch.Generator().manual_seed(0))
    result = resize(source, size).clamp(0, 1)
    result[..., 32:96] += 3 / 255 * ramp(64)
    result[..., 96:] += 3 / 255
    meters.add(result, source, 0)
    seams = meters.notes()["seams"]
    assert seams["line"] == "x = 64" and float(seams["severity"]) >= 1 and seams["offset"] == pytest.approx(3, abs=0.2)


def test_a_method_that_only_resizes_is_not_measured():
    meters = Meters(plan_of(needs=InterpolationUpscaler.needs), {})
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


def test_other_tiles_are_measured_anew():
    """As after tiles were halved for want of memory: what is said is of the frames from there on."""
    meters = Meters(plan_of(), {})
    meters = Meters(plan_of(needs=replace(NEEDS, tile=(64, 64))), meters.state, first=9)
    for number, (result, source) in enumerate(frames(2)):
        meters.add(result, source, number)
    seams = meters.notes()["seams"]
    assert seams["first"] == 9 and "from frame 9 on" in str(seams["summary"])


def test_what_is_bad_is_a_warning(caplog):
    seams = {"x = 832": Seam("x = 832", 1.04, 0.97, 0.21, 0), "x = 80": Seam("x = 80", 2.5, 1.0, 3.4, 9)}
    pulses = {"fine": Pulse("luma", 12, 3, 0.05, 0.03, 2.0), "bad": Pulse("detail", 4, 0, 0.021, 0.004, 9.0)}
    said = {"seams": seams["x = 832"], "pulses": pulses["bad"]}, {"seams": seams["x = 80"], "pulses": pulses["fine"]}
    with caplog.at_level("INFO", logger="realis"):
        for one in said:
            log_meters({name: {"severity": found.severity, "summary": str(found)} for name, found in one.items()})
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "seams: none seen between tiles; the worst is at x = 832: steps 1.04 times those beside it "
                 "(a seam: 1.8), detail 0.97 (1.9), 0.21 levels from side to side (2)"),
        ("WARNING", "pulses: the result probably pulses; the worst is of detail, every 4 frames: frame 0 differs from its "
                    "neighbours by 2.1 %, others by 0.4"),
        ("WARNING", "seams: tiles probably show from frame 9 on, and more overlap may help; the worst is at x = 80: steps "
                    "2.50 times those beside it (a seam: 1.8), detail 1.00 (1.9), 3.4 levels from side to side (2)"),
        ("INFO", "pulses: none seen; the worst is of luma, every 12 frames: frame 3 differs from its neighbours by 0.05 "
                 "levels, others by 0.03"),
    ]  # fmt: skip
