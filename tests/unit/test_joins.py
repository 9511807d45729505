"""The benchmark of joins: segments that agree are the clip again, and a fault at their ends shows where it counts."""

import numpy as np
import pytest
import torch

from benchmark_files import load_benchmark
from realis.metrics.base import Tools
from realis.tiling.blend import blend_frames

joins = load_benchmark("joins")
OVERLAP = 5
TRUTH = torch.rand(13, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def pieces(fault=0.0):
    """Two segments of the truth, the first frame of the later one brighter by ``fault``."""
    later = TRUTH[4:].clone()
    later[0] += fault
    return [(0, TRUTH[: 4 + OVERLAP]), (4, later)]


@pytest.mark.parametrize("weights", joins.JOINS.values(), ids=joins.JOINS)
def test_segments_that_agree_are_the_clip_again(weights):
    torch.testing.assert_close(joins.join(pieces(), OVERLAP, weights(OVERLAP)), TRUTH)


def test_the_row_of_upscale_is_what_upscale_does():
    weights = joins.JOINS["inner"](OVERLAP)
    wanted = blend_frames(TRUTH[:OVERLAP], TRUTH[OVERLAP : 2 * OVERLAP])
    assert torch.equal(joins.join([(0, TRUTH[:OVERLAP]), (0, TRUTH[OVERLAP : 2 * OVERLAP])], OVERLAP, weights), wanted)


def test_a_fault_at_the_start_of_a_segment_shows_where_the_later_one_counts():
    def columns(name):
        joined = joins.join(pieces(0.5), OVERLAP, joins.JOINS[name](OVERLAP))
        found = joins.measure(["psnr_rgb"], joined, noisy, Tools()) | {"e_warp_lai": np.ones(12)}
        return dict(joins.compare(found, whole, [4], OVERLAP))

    noisy = (TRUTH - 0.05).clamp(0, 1)
    whole = joins.measure(["psnr_rgb"], TRUTH, noisy, Tools()) | {"e_warp_lai": np.ones(12)}
    assert columns("inner")["worst"] == pytest.approx(0, abs=1e-3)
    assert columns("later")["worst"] < columns("ramp")["worst"] < -0.1
