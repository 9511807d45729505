"""StableVSR: a Stable Diffusion x4 upscaler whose frames are guided by the texture of their neighbours."""
