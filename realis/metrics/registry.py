"""The metrics by name, each in its exact variants; what computes one is imported when it is used."""

from realis.metrics.base import Metric

# 1. Pixels and their structure, against the truth
FULL_REFERENCE: tuple[Metric, ...] = (
    Metric(
        "psnr_rgb", "PSNR (RGB)", "higher", "one MSE over channels and pixels, at most 100 dB",
        "realis.metrics.full_reference:psnr_rgb", unit="dB", digits=2,
    ),
    Metric(
        "psnr_y", "PSNR (Y)", "higher", "BT.601 luma from 16 to 235, peak 255, as BasicSR and TecoGAN; at most 100 dB",
        "realis.metrics.full_reference:psnr_y", unit="dB", digits=2,
    ),
    Metric(
        "ssim_rgb", "SSIM (RGB)", "higher", "Wang et al., TIP 2004, mean of the channels, no border, as BasicSR",
        "realis.metrics.full_reference:ssim_rgb", least_side=11,
    ),
    Metric(
        "ssim_y", "SSIM (Y)", "higher", "Wang et al., TIP 2004, BT.601 luma from 16 to 235, no border, as BasicSR",
        "realis.metrics.full_reference:ssim_y", least_side=11,
    ),
    Metric(
        "ssim_yiq", "SSIM (Y of YIQ)", "higher", "Wang et al., TIP 2004, rounded Y of YIQ, no border, as pyiqa's ssim",
        "realis.metrics.full_reference:ssim_yiq", least_side=11,
    ),
    Metric(
        "ssim_y_tecogan", "SSIM (Y, 7x7)", "higher", "metrics.py of thunil/TecoGAN: uniform window, range of the result",
        "realis.metrics.full_reference:ssim_y_tecogan", least_side=7,
    ),
    Metric(
        "ms_ssim", "MS-SSIM (RGB)", "higher", "Wang et al., Asilomar 2003, mean of the channels, by piq",
        "realis.metrics.full_reference:ms_ssim", packages=("piq",), least_side=161,  # 11 pixels at the smallest of five scales
    ),
    Metric(
        "gmsd", "GMSD", "lower", "Xue et al., TIP 2014, by piq", "realis.metrics.full_reference:gmsd", packages=("piq",),
    ),
    Metric(
        "haarpsi", "HaarPSI", "higher", "Reisenhofer et al., SPIC 2018, of colour, by piq",
        "realis.metrics.full_reference:haarpsi", packages=("piq",), least_side=16,
    ),
    Metric(
        "vif", "VIF", "higher", "Sheikh and Bovik, TIP 2006, in the pixel domain, by piq (vif_p)",
        "realis.metrics.full_reference:vif", packages=("piq",), least_side=41,
    ),
    Metric(
        "vmaf", "VMAF", "higher", "Netflix, vmaf_v0.6.1, of 8-bit 4:2:0 frames, by the libvmaf of imageio-ffmpeg",
        "realis.metrics.vmaf:Vmaf", packages=("imageio-ffmpeg",), digits=2, least_side=32,
    ),
)  # fmt: skip

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
        "realis.metrics.dover:DoverMeter", unit="x1e-2", digits=2, reference=False, networks=("dover",), least_side=32,
    ),
)  # fmt: skip

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
