"""The mathematics of diffusion: noise levels, velocity, samplers. A sampler takes a velocity and knows no model."""

from realis import torchvision_hook

torchvision_hook.install()
