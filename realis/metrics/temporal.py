"""Consistency over time: warping errors, and changes of flow and of LPIPS beside those of the truth.

Each is one exact variant: papers share the names E_warp, tOF and tLPIPS, but not what they compute. Frames are RGB in
[0, 1], ``t`` the one before and ``t + 1`` the one at hand; flow is estimated by what is handed in. Warping errors are
x1e-3. A pair of frames in which nothing can be compared, as at a cut, has no warping error: the code of Lai et al. and
of StableVSR counts 0, so that such a pair would make a video better.
"""

import torch

from realis.metrics.base import Moment, Video, per_pair
from realis.ops.warp import consistent, motion_boundaries, visible, warp


@per_pair
def e_warp_lai(moment: Moment) -> torch.Tensor | None:
    """The restored frame ``t + 1`` is brought to ``t`` by the flow of the truth; mean over pixels and channels.

    Left out are pixels that are occluded or at a motion boundary. Those out of the frame count where the flow back
    agrees, beside the border pixel. Lai et al., ECCV 2018: ``compute_flow_occlusion.py``, ``evaluate_WarpError.py``.
    """
    flow, back = moment.flow("truth", "forward"), moment.flow("truth", "backward")
    before, now = _pair(moment, "restored")
    seen = consistent(flow, warp(back, flow, "border")) & ~motion_boundaries(flow)
    return _error(before, warp(now, flow, "border"), seen, channels=3)


@per_pair
def warping_error_stablevsr(moment: Moment) -> torch.Tensor | None:
    """The restored frame ``t`` is brought to ``t + 1`` by the flow of the truth; mean over pixels and channels.

    The mask is that of Lai et al., but all is warped on StableVSR's grid, with zeros out of the frame, so that a video
    at rest has an error too. StableVSR, ``util/flow_utils.py`` (``warp_error``).
    """
    flow, back = moment.flow("truth", "backward"), moment.flow("truth", "forward")
    before, now = _pair(moment, "restored")
    seen = consistent(flow, warp(back, flow, grid="stablevsr")) & ~motion_boundaries(flow)
    return _error(now, warp(before, flow, grid="stablevsr"), seen, channels=3)


@per_pair
def e_warp_videogigagan(moment: Moment) -> torch.Tensor | None:
    """The restored frame ``t + 1`` is brought to ``t`` by the flow of the restored frames; mean over pixels of the
    squared norm, which is 3 times the mean over channels.

    Left out are pixels that are occluded, at a motion boundary or out of the frame, as in the code of Ruder et al.
    (GCPR 2016), whom the paper cites for its mask. VideoGigaGAN, Eq. 3.
    """
    return _by_restored_flow(moment, "restored")


@per_pair
def rwe(moment: Moment) -> torch.Tensor | None:
    """The referenced warping error: as ``e_warp_videogigagan``, by the flow and the mask of the restored frames, but of
    the frames of the truth. VideoGigaGAN, Eq. 4."""
    return _by_restored_flow(moment, "truth")


def _by_restored_flow(moment: Moment, video: Video) -> torch.Tensor | None:
    flow, back = moment.flow("restored", "forward"), moment.flow("restored", "backward")
    before, now = _pair(moment, video)
    seen = moment.once("seen, restored", lambda: visible(flow, back) & ~motion_boundaries(flow))
    return _error(before, warp(now, flow), seen)


def _error(frame: torch.Tensor, warped: torch.Tensor, seen: torch.Tensor, channels: int = 1) -> torch.Tensor | None:
    if not seen.any():
        return None
    squared = (frame - warped).square().sum(dim=1, keepdim=True)
    return 1000 * (squared * seen).sum() / (channels * seen.sum())


@per_pair
def tof_tecogan(moment: Moment) -> torch.Tensor:
    """Mean length, in pixels, of the difference between the flows ``t`` to ``t + 1`` of the two videos.

    TecoGAN estimates them by Farneback's method, from whole frames, and crops the flows. TecoGAN, ``metrics.py``.
    """
    return (moment.flow("restored", "forward") - moment.flow("truth", "forward")).norm(dim=1).mean()


@per_pair
def tof_stablevsr(moment: Moment) -> torch.Tensor:
    """Mean absolute difference, over pixels and both components, between the flows ``t + 1`` to ``t`` of the two
    videos, in tenths of a pixel.

    StableVSR's flows are those of frames of half the contrast: its ``eval.py`` hands RAFT, which wants frames in
    [-1, 1], such in [0, 1].
    """
    estimate = moment.tools.flow
    assert estimate
    restored, truth = (
        estimate((1 + now) / 2, (1 + before) / 2) for before, now in (_pair(moment, "restored"), _pair(moment, "truth"))
    )
    return 10 * (restored - truth).abs().mean()


@per_pair
def tlpips_tecogan(moment: Moment) -> torch.Tensor:
    """Absolute difference between LPIPS of ``t`` and ``t + 1`` in the two videos, x1e-2. TecoGAN, ``metrics.py``."""
    return 100 * _lpips_change(moment)


@per_pair
def tlpips_stablevsr(moment: Moment) -> torch.Tensor:
    """As ``tlpips_tecogan``, but x1e-3. StableVSR, ``eval.py``."""
    return 1000 * _lpips_change(moment)


def _lpips_change(moment: Moment) -> torch.Tensor:
    lpips = moment.tools.networks["lpips_alex"]
    return moment.once(
        "change of lpips_alex", lambda: (lpips(*_pair(moment, "restored")) - lpips(*_pair(moment, "truth"))).abs()
    )


def _pair(moment: Moment, video: Video) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the frame before and the one at hand, (1, 3, H, W) each."""
    assert moment.previous
    return moment.previous.frame(video)[None], moment.frame(video)[None]
