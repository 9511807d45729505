"""Convert frames: decoded ones to tensors for the stream, and tensors to arrays for the encoder."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from realis.core.errors import InputError
from realis.video.encoding import Encoding
from realis.video.source import Source, TimedFrame, is_opaque

if TYPE_CHECKING:
    import torch

    from realis.upscaling.stream import Frame


def as_tensor(frame: TimedFrame) -> "torch.Tensor":
    """Return the colours of a decoded frame as (3, H, W) float32; 1 is white."""
    import torch

    return torch.from_numpy(frame.rgb).permute(2, 0, 1).float() / frame.white


def read_frames(source: Source, decoded: Iterable[TimedFrame], opaque: bool) -> "Iterator[Frame]":
    """Yield the ``decoded`` frames of ``source`` as the stream takes them.

    Raises:
        InputError: one is transparent, though the output is ``opaque``.
    """
    from realis.upscaling.stream import Frame

    for frame in decoded:
        if opaque and not is_opaque(frame.alpha):
            raise InputError(f"{source.path}: becomes transparent at tick {frame.time}; choose an --output that can be "
                             "transparent (PNG images, .mkv with ffv1, .mov with prores), or --drop-alpha")  # fmt: skip
        yield Frame(as_tensor(frame).clamp_(0, 1), frame.alpha, frame.time, frame.duration, frame.fault)


def quantize(frame: "torch.Tensor", alpha: np.ndarray | None, encoding: Encoding) -> np.ndarray:
    """Round a frame (3, H, W) float in [0, 1] to the levels of the encoding, (H, W, 3 or 4) uint8 or uint16, with ``alpha``
    (h, w) resized to it."""
    import torch

    from realis.ops.resize import resize

    kind = torch.uint8 if encoding.depth == 8 else torch.uint16
    levels = frame * encoding.white
    if encoding.alpha and alpha is not None:
        most = torch.iinfo(kind).max
        share = torch.from_numpy(alpha)[None].float() / torch.iinfo(torch.from_numpy(alpha).dtype).max
        levels = torch.cat([levels, resize(share, (frame.shape[1], frame.shape[2])).clamp_(0, 1) * most])
    return levels.round().to(kind).permute(1, 2, 0).contiguous().numpy()
