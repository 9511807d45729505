"""Samplers of v-prediction by name, for flags: no torch."""

from typing import Literal

Sampler = Literal["ddim", "ddpm"]
