"""Upscaling of whole videos: the stream of segments, and the methods: RealisVSR (``cpc*.py``) and bicubic."""
