"""BasicVSR (Chan et al., CVPR 2021): recurrent super-resolution of video."""
