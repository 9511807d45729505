"""A training run: settings, loop, checkpoints, export, curves."""
