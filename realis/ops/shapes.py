"""The letters that name tensor axes everywhere in realis, and a check of shapes by them.

=====  ==========================================================
B      clips in a batch
C      channels (pixels: 3, RGB; latents: 16)
F H W  frames, height, width in pixels
f h w  the same on the latent grid: f = (F - 1) / 4 + 1, h = H / 8, w = W / 8
L D    tokens and their width in a transformer
=====  ==========================================================
"""

import torch


def check_shape(name: str, tensor: torch.Tensor, pattern: str, **known: int) -> dict[str, int]:
    """Check ``tensor`` against ``pattern`` such as ``"B 3 F H W"`` and return what each letter stands for.

    Numbers in the pattern must match; a letter given in ``known`` or met twice must agree with itself.

    Raises:
        ValueError: the shape does not fit; the message says what was got and what was wanted.

    >>> check_shape("frames", torch.zeros(2, 3, 5, 8, 8), "B 3 F H W")["F"]
    5
    """
    axes = pattern.split()
    sizes = dict(known)
    fits = tensor.ndim == len(axes)
    for axis, size in zip(axes, tensor.shape, strict=False):
        wanted = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
        fits = fits and size == wanted
    if not fits:
        given = ", ".join(f"{letter} = {size}" for letter, size in known.items())
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, wanted ({pattern}){given and ' with ' + given}")
    return sizes
