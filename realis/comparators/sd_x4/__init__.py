"""The Stable Diffusion x4 upscaler, frame by frame: the image baseline of StableVSR and DGAF-VSR."""
