"""Warping by optical flow: its direction, where pixel centres lie, what is beyond the border, what is hidden."""

import pytest
import torch
from torch.nn.functional import grid_sample

from realis.ops.warp import consistent, motion_boundaries, resize_flow, visible, warp


def constant_flow(x, y, size=(6, 8)):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, *size)


def picture(size=(6, 8)):
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))


def test_a_flow_of_zero_changes_nothing():
    assert torch.allclose(warp(picture(), constant_flow(0, 0)), picture(), atol=1e-6)


def test_a_pixel_comes_from_where_its_flow_points():
    """x before y, and towards the source: a flow of (2, -1) takes what is two columns on and a row above."""
    b = picture()
    warped = warp(b, constant_flow(2, -1))
    torch.testing.assert_close(warped[..., 1:, :-2], b[..., :-1, 2:], atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    b = picture()
    expected = (b[..., :-1] + b[..., 1:]) / 2
    torch.testing.assert_close(warp(b, constant_flow(0.5, 0))[..., :-1], expected, atol=1e-5, rtol=0)


def test_beyond_the_border_are_zeros_or_the_border():
    b = picture()
    assert warp(b, constant_flow(0, 9)).abs().max() == 0
    torch.testing.assert_close(warp(b, constant_flow(0.25, 0))[..., -1], 0.75 * b[..., -1], atol=1e-5, rtol=0)
    repeated = b[..., -1:, :].expand_as(b)
    torch.testing.assert_close(warp(b, constant_flow(0, 9), "border"), repeated, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (37, 50)])
def test_the_border_is_that_of_grid_sample(size):
    flow = 9 * torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(1))
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    positions = ((columns + flow[:, 0], size[1]), (rows + flow[:, 1], size[0]))
    grid = torch.stack([2 * p / max(side - 1, 1) - 1 for p, side in positions], dim=-1)
    expected = grid_sample(picture(size), grid, "bilinear", "border", align_corners=True)
    torch.testing.assert_close(warp(picture(size), flow, "border"), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(5, 9), (37, 50)])
def test_the_grid_of_stablevsr_is_scaled_for_other_corners_than_it_is_sampled_with(size):
    flow = 2 * torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(1))
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    positions = ((columns + flow[:, 0], size[1]), (rows + flow[:, 1], size[0]))
    grid = torch.stack([2 * p / max(side - 1, 1) - 1 for p, side in positions], dim=-1)
    expected = grid_sample(picture(size), grid, "bilinear", "zeros", align_corners=False)
    torch.testing.assert_close(warp(picture(size), flow, grid="stablevsr"), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "expected"), [((12, 32), (8, -2)), ((3, 8), (2, -0.5)), ((6, 8), (2, -1))])
def test_a_flow_is_resized_to_pixels_of_the_new_size(size, expected):
    """Each axis by its own factor."""
    torch.testing.assert_close(resize_flow(constant_flow(2, -1), size), constant_flow(*expected, size))


def test_between_its_pixels_a_flow_is_interpolated():
    """By pixel centres that keep their place, and repeated beyond the outermost."""
    flow = constant_flow(0, 0, (1, 2)).clone()
    flow[:, 0, :, 1] = 4
    torch.testing.assert_close(resize_flow(flow, (1, 4))[0, 0, 0], 2 * torch.tensor([0.0, 1, 3, 4]))


def test_positions_are_exact_in_wide_frames_of_bfloat16():
    wide = torch.arange(600).remainder(3).bfloat16().view(1, 1, 1, 600)
    warped = warp(wide, constant_flow(1, 0, (1, 600)))
    assert warped.dtype == torch.bfloat16
    torch.testing.assert_close(warped[..., :-1], wide[..., 1:], atol=1e-3, rtol=0)


def test_what_leaves_the_frame_is_not_visible():
    """A motion by two pixels to the right, found again by the flow back."""
    seen = visible(constant_flow(2, 0), constant_flow(-2, 0))
    assert seen.shape == (1, 1, 6, 8) and seen.dtype == torch.bool
    assert seen[..., :-2].all() and not seen[..., -2:].any()


def test_what_something_moves_in_front_of_is_not_visible():
    """Columns 0 and 1 move by four pixels, over a background that stays: the flow back knows no other motion there."""
    flow, back = constant_flow(0, 0).clone(), constant_flow(0, 0).clone()
    flow[:, 0, :, :2] = 4
    back[:, 0, :, 4:6] = -4
    seen = visible(flow, back)[0, 0, 0]
    assert seen.tolist() == [True] * 4 + [False] * 2 + [True] * 2


def test_a_small_disagreement_is_none():
    assert visible(constant_flow(1, 0), constant_flow(-0.5, 0))[..., :-1].all()
    assert not visible(constant_flow(1, 0), constant_flow(0, 0)).any()


def test_out_of_the_frame_a_flow_may_be_consistent():
    flow, back = constant_flow(2, 0), constant_flow(-2, 0)
    assert consistent(flow, warp(back, flow, "border")).all()


def test_a_motion_boundary_is_before_the_jump():
    flow = constant_flow(3, 0).clone()
    flow[:, 0, :, 5:] = 0
    flow[:, 1, 4:] = 1
    jumps = motion_boundaries(flow)
    assert jumps.shape == (1, 1, 6, 8) and jumps.dtype == torch.bool
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[:, 4] = expected[3] = True
    assert torch.equal(jumps[0, 0], expected)


def test_a_fast_motion_may_change_more_than_a_slow_one():
    """By 0.1 pixels from column to column: too much for slow motions only."""
    slope = 0.1 * torch.arange(8.0).expand(1, 1, 6, 8)
    slow, fast = (torch.cat((slope + speed, torch.zeros_like(slope)), dim=1) for speed in (0, 5))
    assert motion_boundaries(slow)[..., :6].all() and not motion_boundaries(fast).any()
