"""How the parts of a small model such as realis-tiny begin: initialisations that larger ones do without."""

from realis import torchvision_hook

torchvision_hook.install()
