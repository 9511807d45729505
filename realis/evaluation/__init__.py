"""Evaluation: test sets, protocols, alignment, measurements, tables."""

from realis import torchvision_hook

torchvision_hook.install()
