"""Metrics of quality: against a ground truth, without one, and along time."""

from realis import torchvision_hook

torchvision_hook.install()
