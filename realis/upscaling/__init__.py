"""Methods of upscaling over whole videos: the stream of segments, RealisVSR, bicubic."""
