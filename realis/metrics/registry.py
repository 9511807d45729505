"""The metrics by name, each in its exact variants; what computes one is imported when it is used."""

from realis.metrics.base import Metric

# 1. Pixels and their structure, against the truth
FULL_REFERENCE: tuple[Metric, ...] = ()

# 2. Networks, against the truth
PERCEPTUAL: tuple[Metric, ...] = ()

# 3. Without a truth
NO_REFERENCE: tuple[Metric, ...] = ()

# 4. Along time
TEMPORAL: tuple[Metric, ...] = (
    Metric(
        "e_warp_lai", "E_warp (Lai)", "lower", "Lai et al. 2018, evaluate_WarpError.py: flow and masks of the truth",
        "realis.metrics.temporal:e_warp_lai", unit="x1e-3", digits=3, flow=True,
    ),
    Metric(
        "warping_error_stablevsr", "WE (StableVSR)", "lower",
        "StableVSR, util/flow_utils.py: flow and masks of the truth, backward, sampled half a pixel off at the borders",
        "realis.metrics.temporal:warping_error_stablevsr", unit="x1e-3", digits=3, flow=True,
    ),
    Metric(
        "e_warp_videogigagan", "E_warp (VideoGigaGAN)", "lower",
        "VideoGigaGAN, Eq. 3: flow and masks of the restored frames, summed over channels",
        "realis.metrics.temporal:e_warp_videogigagan", unit="x1e-3", digits=3, reference=False, flow=True,
    ),
    Metric(
        "rwe", "RWE", "lower",
        "VideoGigaGAN, Eq. 4: frames of the truth, flow and masks of the restored ones, summed over channels",
        "realis.metrics.temporal:rwe", unit="x1e-3", digits=3, flow=True,
    ),
    Metric(
        "tof_tecogan", "tOF (TecoGAN)", "lower", "TecoGAN, metrics.py: mean length of the difference of flows",
        "realis.metrics.temporal:tof_tecogan", unit="px", digits=3, flow=True,
    ),
    Metric(
        "tof_stablevsr", "tOF (StableVSR)", "lower",
        "StableVSR, eval.py: mean absolute difference of backward flows, of frames of half the contrast",
        "realis.metrics.temporal:tof_stablevsr", unit="x0.1 px", digits=3, flow=True,
    ),
    Metric(
        "tlpips_tecogan", "tLPIPS (TecoGAN)", "lower", "TecoGAN, metrics.py: change of LPIPS between frames",
        "realis.metrics.temporal:tlpips_tecogan", unit="x1e-2", digits=3, networks=("lpips_alex",), least_side=31,
    ),
    Metric(
        "tlpips_stablevsr", "tLPIPS (StableVSR)", "lower", "StableVSR, eval.py: change of LPIPS between frames",
        "realis.metrics.temporal:tlpips_stablevsr", unit="x1e-3", digits=2, networks=("lpips_alex",), least_side=31,
    ),
)  # fmt: skip

METRICS = {metric.name: metric for metric in (*FULL_REFERENCE, *PERCEPTUAL, *NO_REFERENCE, *TEMPORAL)}
