"""Contact sheets for people to look at: crops before and after, grids of labelled images."""
