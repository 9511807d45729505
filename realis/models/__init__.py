"""Networks, and their files: Wan2.1, the CPC over it, the LR-conditioned decoder, optical flow. One device, no training."""

from realis import torchvision_hook

torchvision_hook.install()
