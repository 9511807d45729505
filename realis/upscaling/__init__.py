"""Upscaling of whole videos: the stream of segments, and the methods: RealisVSR (``cpc*.py``) and bicubic."""

from realis import torchvision_hook

torchvision_hook.install()
