"""The Stable Diffusion x4 upscaler, frame by frame: the single-image baseline of StableVSR and DGAF-VSR."""
