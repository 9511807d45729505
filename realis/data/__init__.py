"""Training data: clips out of footage, pairs rendered from photographs, captions, low-resolution sets."""
