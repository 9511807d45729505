"""The Stable Diffusion x4 upscaler: its files, its parts, one evaluation of its network. StableVSR and DGAF-VSR stand on it."""
