"""Losses: HR-Loss, Charbonnier."""
