"""Give a result the colours of its source: on whole frames, so that tiles do not differ, and steadily over time."""

from typing import Literal

import torch
import torch.nn.functional as F

from realis.ops.resize import resize
from realis.upscaler import Carry

ColorFixMode = Literal["none", "wavelet", "adain"]
LEVELS = 5
MOMENTUM = 0.9  # of the moving average of gain and offset, per frame


class ColorFix:
    """Correct the colours of frames to those of their source.

    ``wavelet``: the coarse part of the à-trous wavelet transform (:data:`LEVELS` levels, kernel 1 2 1) is the source's
    (StableSR, arXiv 2305.07015, 3.4). ``adain``: mean and standard deviation of each channel are the source's (AdaIN,
    arXiv 1703.06868, Eq. 8), gain and offset smoothed over time.

    Args:
        mode: ``none``, ``wavelet`` or ``adain``.
        state: :attr:`state` after the previous frame; empty at the start.
    """

    def __init__(self, mode: ColorFixMode, state: Carry) -> None:
        self.mode, self.state = mode, dict(state)

    def __call__(self, frame: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Return ``frame`` (3, H, W) with the colours of ``source`` (3, h, w); all float32 in [0, 1]."""
        if self.mode == "wavelet":
            wanted = resize(source, (frame.shape[1], frame.shape[2]))
            return (frame + low_frequencies(wanted - frame)).clamp_(0, 1)
        if self.mode == "adain":
            gain, offset = self._statistics(frame, source)
            return (frame * gain + offset).clamp_(0, 1)
        return frame

    def _statistics(self, frame: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        std, mean = torch.std_mean(frame, dim=(1, 2), keepdim=True)
        wanted_std, wanted_mean = torch.std_mean(source, dim=(1, 2), keepdim=True)
        gain = wanted_std / std.clamp(min=1e-4)
        new = {"gain": gain, "offset": wanted_mean - gain * mean}
        for name, value in new.items():
            self.state[name] = torch.lerp(value, self.state[name], MOMENTUM) if name in self.state else value
        return self.state["gain"], self.state["offset"]


def low_frequencies(image: torch.Tensor) -> torch.Tensor:
    """Return the coarse part of ``image`` (3, H, W) after :data:`LEVELS` levels of the à-trous transform: a blur over about
    60 pixels."""
    kernel = torch.tensor([0.25, 0.5, 0.25]).view(1, 1, 3)
    blurred = image[:, None]
    for level in range(LEVELS):
        step = 2**level
        for shape, pad in (((1, 1, 3, 1), (0, 0, step, step)), ((1, 1, 1, 3), (step, step, 0, 0))):
            blurred = F.conv2d(F.pad(blurred, pad, mode="replicate"), kernel.view(shape), dilation=step)
    return blurred[:, 0]
