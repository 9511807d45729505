"""Networks, and where their files are: Wan2.1, the CPC over it, the LR-conditioned decoder. One device, no training."""

from realis import torchvision_hook

torchvision_hook.install()
