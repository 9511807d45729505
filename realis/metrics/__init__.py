"""Measures of quality: PSNR, VMAF."""
