"""Builds RealisVideo-4K (paper: "RealisVideo-4K") out of footage: one file a stage."""
