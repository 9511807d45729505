"""One file a command: its configuration, and the composition of what the rooms below offer."""

from realis import torchvision_hook

torchvision_hook.install()
