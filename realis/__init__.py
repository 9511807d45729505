"""realis: an open RealisVSR. Real-world 4K video super-resolution with a frozen Wan2.1 video diffusion transformer."""

from realis import torchvision_hook

torchvision_hook.install()
