"""RealisVideo-4K out of footage, stage by stage."""
