"""Cut a canvas into overlapping tiles, and blend tiles and segments where they overlap."""
