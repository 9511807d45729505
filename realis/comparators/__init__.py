"""Methods of others in this stack, one room each: networks, flags, what they need, and where they come from."""

from realis import torchvision_hook

torchvision_hook.install()
