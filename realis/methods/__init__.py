"""The methods of upscaling by name, and the flags of ``upscale`` with those of one of them."""
