"""Training data: clips out of footage, pairs rendered from photographs, captions, low-resolution sets."""

from realis import torchvision_hook

torchvision_hook.install()
