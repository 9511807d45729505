"""Networks, and where their files are: Wan2.1, the CPC over it, the LR-conditioned decoder. One device, no training."""
