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
        "realis.metrics.full_reference:ms_ssim", least_side=161,  # 11 pixels at the smallest of five scales
    ),
    Metric(
        "gmsd", "GMSD", "lower", "Xue et al., TIP 2014, by piq", "realis.metrics.full_reference:gmsd",
    ),
    Metric(
        "haarpsi", "HaarPSI", "higher", "Reisenhofer et al., SPIC 2018, of colour, by piq",
        "realis.metrics.full_reference:haarpsi", least_side=16,
    ),
    Metric(
        "vif", "VIF", "higher", "Sheikh and Bovik, TIP 2006, in the pixel domain, by piq (vif_p)",
        "realis.metrics.full_reference:vif", least_side=41,
    ),
    Metric(
        "vmaf", "VMAF", "higher", "Netflix, vmaf_v0.6.1, of 8-bit 4:2:0 frames, by the libvmaf of imageio-ffmpeg",
        "realis.metrics.vmaf:Vmaf", digits=2, least_side=32,
    ),
)  # fmt: skip

# 2. Networks, against the truth
PERCEPTUAL: tuple[Metric, ...] = ()

# 3. Without a truth
NO_REFERENCE: tuple[Metric, ...] = ()

# 4. Along time
TEMPORAL: tuple[Metric, ...] = ()

METRICS = {metric.name: metric for metric in (*FULL_REFERENCE, *PERCEPTUAL, *NO_REFERENCE, *TEMPORAL)}
