"""Losses: HR-Loss of RealisVSR, Charbonnier, those of GANs."""
