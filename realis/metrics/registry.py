"""The metrics by name, each in its exact variants; what computes one is imported when it is used."""

from realis.metrics.base import Metric

# 1. Pixels and their structure, against the truth
FULL_REFERENCE: tuple[Metric, ...] = ()

# 2. Networks, against the truth
PERCEPTUAL: tuple[Metric, ...] = (
    Metric(
        "lpips_alex", "LPIPS (AlexNet)", "lower", "Zhang et al., CVPR 2018, v0.1, as pyiqa's lpips",
        "realis.metrics.perceptual:lpips_alex", networks=("lpips_alex",), least_side=31,
    ),
    Metric(
        "lpips_vgg", "LPIPS (VGG16)", "lower", "Zhang et al., CVPR 2018, v0.1, as pyiqa's lpips-vgg",
        "realis.metrics.perceptual:lpips_vgg", networks=("lpips_vgg",), least_side=16,
    ),
    Metric(
        "dists", "DISTS", "lower", "Ding et al., TPAMI 2022, frames not resized, as pyiqa's dists",
        "realis.metrics.perceptual:dists", networks=("dists",),
    ),
)  # fmt: skip

# 3. Without a truth
NO_REFERENCE: tuple[Metric, ...] = (
    Metric(
        "niqe", "NIQE", "lower", "Mittal et al., SPL 2013, of Y, as pyiqa's niqe",
        "realis.metrics.no_reference:niqe", reference=False, networks=("niqe",), least_side=192,  # 2x2 of its blocks
    ),
    Metric(
        "musiq", "MUSIQ", "higher", "Ke et al., ICCV 2021, trained on KonIQ-10k, as pyiqa's musiq",
        "realis.metrics.no_reference:musiq", digits=2, reference=False, networks=("musiq",),
    ),
    Metric(
        "clipiqa", "CLIP-IQA", "higher", "Wang et al., AAAI 2023, with ResNet-50, as pyiqa's clipiqa",
        "realis.metrics.no_reference:clipiqa", reference=False, networks=("clipiqa",),
        least_side=32,
    ),
    Metric(
        "dover", "DOVER", "higher", "Wu et al., ICCV 2023, fused as in their evaluate_one_video.py",
        "realis.metrics.dover:DoverMeter", digits=2, reference=False, networks=("dover",), least_side=32,
    ),
)  # fmt: skip

# 4. Along time
TEMPORAL: tuple[Metric, ...] = ()

METRICS = {metric.name: metric for metric in (*FULL_REFERENCE, *PERCEPTUAL, *NO_REFERENCE, *TEMPORAL)}
