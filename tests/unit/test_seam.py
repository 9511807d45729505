"""The meter of seams between tiles: planted ones are found, content is not accused."""

from dataclasses import replace

import pytest
import torch

from realis.metrics.seam import DETAIL, ROWS, STEP, Line, SeamMeter, row_step
from realis.ops.filters import gaussian_blur
from realis.ops.pixels import image_to_planes, planes_to_image
from realis.ops.resize import resize
from realis.tiling.blend import ramp

SIZE = (160, 224)
CUT, BLEND = Line("x", 120, 120), Line("y", 64, 96)
LINES = [CUT, BLEND, Line("y", 130, 130)]
WIDE = Line("x", 56, 168)  # as exact tiles share


@pytest.fixture(scope="module")
def clip():
    """Four pairs of a result and its input: structure that moves, with an edge, and fine texture that is added."""
    random = torch.Generator().manual_seed(0)
    scene = torch.rand(3, SIZE[0], SIZE[1] + 12, generator=random)
    scene = image_to_planes(gaussian_blur(planes_to_image(scene), 4)) * 2 - 0.5
    pairs = []
    for number in range(4):
        result = scene[..., 3 * number : 3 * number + SIZE[1]].clone()
        result[..., 118:] += 0.2  # an edge of the content, close to a line
        source = resize(result, (40, 56)).clamp(0, 1)
        result = resize(source, SIZE).clamp(0, 1) + 0.006 * torch.randn(3, *SIZE, generator=random)
        pairs.append((result, source))
    return pairs


def measured(clip, plant=None, lines=LINES):
    meter = SeamMeter(lines, SIZE, {})
    for result, source in clip:
        changed = result.clone()
        if plant:
            plant(changed)
        meter.add(changed, source)
    return {seam.line: seam for seam in meter.seams()}


def test_a_clean_result_is_not_accused(clip):
    seams = measured(clip)
    assert list(seams) == ["x = 120", "y = 80", "y = 130"]
    assert all(seam.severity < 0.8 for seam in seams.values())


def step_down(frame):
    frame[..., 120:] += 1 / 255


def step_across(frame):
    frame[:, 130:] -= 1 / 255


def blur(frame):
    frame[:, 64:96] = image_to_planes(gaussian_blur(planes_to_image(frame), 1.5))[:, 64:96]


def noise(frame):
    frame[:, 64:96] += 0.02 * torch.randn(3, 32, SIZE[1], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("plant", "line", "what"), [
    (step_down, "x = 120", "step"), (step_across, "y = 130", "step"), (blur, "y = 80", "blur"), (noise, "y = 80", "noise"),
])  # fmt: skip
def test_a_planted_seam_is_found_where_it_is(clip, plant, line, what):
    seams = measured(clip, plant)
    worst = max(seams.values(), key=lambda seam: seam.severity)
    assert worst.line == line and worst.severity >= 1
    assert sum(seam.severity >= 1 for seam in seams.values()) == 1
    assert {"step": worst.step > STEP, "blur": worst.detail < 1 / DETAIL, "noise": worst.detail > DETAIL}[what]


def test_a_step_of_both_signs_is_found(clip):
    """As where each pair of tiles has a difference of its own."""

    def plant(frame):
        frame[:, :80, 120:] += 1 / 255
        frame[:, 80:, 120:] -= 1 / 255

    assert measured(clip, plant)["x = 120"].severity >= 1


def offset(frame, levels=4.0):
    """Add an offset to all that one tile makes, blended over all that it shares."""
    frame[..., WIDE.start : WIDE.stop] += levels / 255 * ramp(WIDE.stop - WIDE.start)
    frame[..., WIDE.stop :] += levels / 255


def test_an_offset_is_found_however_wide_the_blend(clip):
    lines = [WIDE, Line("y", 130, 130)]
    clean, planted = (measured(clip, plant, lines) for plant in (None, offset))
    assert [seam.severity >= 1 for seam in planted.values()] == [True, False]
    assert clean["x = 112"].severity < 0.5 and clean["x = 112"].detail == 1  # of so wide a blend it is not told
    assert planted["x = 112"].offset == pytest.approx(4, abs=0.2) and planted["x = 112"].step < STEP


def test_what_changes_its_sign_from_frame_to_frame_is_no_offset(clip):
    """As of content that moves."""
    signs = iter([1, -1, 1, -1])
    assert measured(clip, lambda frame: offset(frame, 4 * next(signs)), [WIDE])["x = 112"].offset < 0.5


@pytest.mark.parametrize("levels", [0.02, 0.2])
def test_what_cannot_be_seen_is_not_accused_however_flat_the_content(levels):
    """Beside such a cut or blend there is nothing at all."""
    source, result = torch.full((3, 40, 56), 0.5), torch.full((3, *SIZE), 0.5)
    result[..., CUT.start :] += levels / 255
    result[:, BLEND.start : BLEND.stop : 2] += levels / 255
    assert all(seam.severity < 1 for seam in measured([(result, source)]).values())


def test_rows_are_measured_up_to_a_number():
    assert [len(range(0, height, row_step(height))) for height in (96, 270, 539, 2160)] == [96, 270, 270, 270]
    assert all(len(range(0, height, row_step(height))) <= ROWS for height in range(1, 3000, 7))


def test_state_goes_on(clip):
    whole = SeamMeter(LINES, SIZE, {})
    first = SeamMeter(LINES, SIZE, {})
    for number, pair in enumerate(clip):
        whole.add(*pair)
        first.add(*pair)
        first = SeamMeter(LINES, SIZE, first.state)
        assert all(torch.equal(x, whole.state[name]) for name, x in first.state.items()), number
    assert list(first.seams()) == list(whole.seams())


def test_the_state_of_other_lines_does_not_count(clip):
    before = SeamMeter([CUT], SIZE, {})
    before.add(*clip[0])
    after, alone = SeamMeter([BLEND], SIZE, before.state, first=1), SeamMeter([BLEND], SIZE, {})
    for meter in (after, alone):
        meter.add(*clip[1])
    (after,), (alone,) = after.seams(), alone.seams()
    assert after == replace(alone, first=1)
    assert "from frame 1 on" in str(after) and "from frame" not in str(alone)


def test_lines_without_anything_beside_them_are_left_out(clip):
    """As where tiles are so small that all of the frame is blended."""
    assert measured(clip, lines=[Line("x", x, x + 32) for x in range(0, 224, 32)]) == {}
    assert SeamMeter([], SIZE, {}).worst() is None and SeamMeter(LINES, SIZE, {}).worst() is None
