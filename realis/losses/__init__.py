"""Losses: HR-Loss of RealisVSR, Charbonnier, LPIPS."""
