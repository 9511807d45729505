"""DGAF-VSR: a Stable Diffusion x4 upscaler whose features are guided by the aligned latents of a neighbour."""
