"""A training run: settings, loop, checkpoints, export, curves."""

from realis import torchvision_hook

torchvision_hook.install()
