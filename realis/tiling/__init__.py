"""How a canvas is cut into tiles and segments, and how these are blended."""
