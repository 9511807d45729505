"""Networks that upscale single images, by spandrel: frame by frame, in batches and tiles."""
