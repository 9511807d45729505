"""Protocols: what exactly a paper's table measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """How clips are measured.

    Args:
        name: by which it is chosen.
        source: the paper with its tables, and the code if there is some.
        metrics: names of the metrics (:data:`realis.metrics.registry.METRICS`), in the order of their columns.
        border: pixels that are cut off at every side before anything is measured.
        multiple: the sides are then cut to multiples of it, around the centre.
        drop_ends: frames that are left out at the beginning and at the end.
        flow: the estimator of optical flow; empty: none of its metrics needs one.
        deviations: by metric, why our figures don't compare with the paper's.
    """

    name: str
    source: str
    metrics: tuple[str, ...]
    border: int = 0
    multiple: int = 1
    drop_ends: int = 0
    flow: Literal["", "farneback", "spynet", "raft"] = ""
    deviations: Mapping[str, str] = field(default_factory=dict)


_UNSTATED_CROP = "The paper names neither the channel nor the crop"
_MASK = "The paper gives neither the thresholds of the occlusion mask nor the weights of RAFT."

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="realis",
            source="ours",
            metrics=(
                "psnr_rgb",
                "ssim_rgb",
                "gmsd",
                "haarpsi",
                "vmaf",
                "lpips_alex",
                "dists",
                "e_warp_lai",
                "rwe",
            ),
            flow="farneback",
        ),
        Protocol(
            name="realisvsr",
            source="RealisVSR (arXiv 2507.19138), Tables 1, 2, 3, 5; no public code",
            metrics=("psnr_rgb", "ssim_yiq", "lpips_alex", "dists", "dover", "musiq", "niqe", "e_warp_lai"),
            flow="raft",
            deviations={
                "psnr_rgb": f"{_UNSTATED_CROP}; RGB without one is pyiqa's default.",
                "ssim_yiq": f"{_UNSTATED_CROP}; Y without one is pyiqa's default.",
                "lpips_alex": "The paper does not name the network of LPIPS; AlexNet is pyiqa's default.",
                "dover": "The paper says neither which frames DOVER saw nor by which code.",
                "musiq": "The paper does not name the weights of MUSIQ; KonIQ-10k's are pyiqa's default.",
                "niqe": "The paper does not say by which code NIQE was measured; ours is pyiqa's.",
                "e_warp_lai": "The paper states neither flow network nor mask nor unit.",
            },
        ),
        Protocol(
            name="realbasicvsr",
            source="RealBasicVSR (arXiv 2111.12704); configs and issue 22 of ckkelvinchan/RealBasicVSR",
            metrics=("psnr_rgb", "niqe"),
            deviations={"niqe": "The authors measured the frames 0, 50 and 99 of each clip; ours are all frames."},
        ),
        Protocol(
            name="stablevsr",
            source="StableVSR (arXiv 2311.15908), Tables 1, 2, 4; eval.py of claudiom4sir/StableVSR",
            metrics=(
                "lpips_alex",
                "dists",
                "musiq",
                "clipiqa",
                "niqe",
                "psnr_rgb",
                "ssim_rgb",
                "warping_error_stablevsr",
                "tlpips_stablevsr",
                "tof_stablevsr",
            ),
            flow="raft",
            deviations={
                "warping_error_stablevsr": (
                    "The paper states neither flow network nor unit, and the authors' evaluation leaves the metric out."
                ),
            },
        ),
        Protocol(
            name="dgaf_vsr",
            source="DGAF-VSR (arXiv 2511.16928), Tables 1 to 3, S3, S7, S8; eval.py and evalY.py of tszssong/DGAF-VSR",
            metrics=(
                "lpips_alex",
                "dists",
                "musiq",
                "clipiqa",
                "niqe",
                "dover",
                "psnr_rgb",
                "ssim_rgb",
                "psnr_y",
                "ssim_y",
                "tlpips_stablevsr",
                "tof_stablevsr",
            ),
            flow="raft",
            deviations={
                "psnr_y": "The authors round Y to 8 bits (OpenCV's I420) before they compare.",
                "ssim_y": "The authors round Y to 8 bits (OpenCV's I420) before they compare.",
                "dover": "The paper says neither which frames DOVER saw nor by which code.",
            },
        ),
        Protocol(
            name="videogigagan",
            source="VideoGigaGAN (arXiv 2404.12388), Tables 1 to 3, Figure 6, Equations 3 and 4; no public code",
            metrics=("lpips_vgg", "psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y", "e_warp_videogigagan", "rwe"),
            flow="raft",
            deviations={
                "lpips_vgg": (
                    "The paper does not name the network of LPIPS: its figures are not AlexNet's, VGG's by their size."
                ),
                "e_warp_videogigagan": _MASK,
                "rwe": _MASK,
            },
        ),
        Protocol(
            name="tecogan",
            source="TecoGAN (arXiv 1811.09393); metrics.py of thunil/TecoGAN",
            metrics=("psnr_y", "ssim_y_tecogan", "lpips_alex", "tof_tecogan", "tlpips_tecogan"),
            border=8,
            multiple=32,
            drop_ends=2,
            flow="farneback",
            deviations={
                "tof_tecogan": "The code estimates flow on whole frames and crops it; ours is that of cropped frames.",
            },
        ),
    )
}
