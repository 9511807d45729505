"""Measures of image quality: PSNR."""
