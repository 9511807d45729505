"""The stream: cut a video into overlapping segments, upscale each, join them, and yield every frame once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from realis.ops.noise import noise_fields
from realis.ops.pixels import check_finite
from realis.ops.resize import resize
from realis.ops.scene_cuts import CutDetector
from realis.tiling.blend import blend_frames
from realis.upscaler import Carry, Needs, Segments, Tiling, Upscaler
from realis.video.playback import Fault

TAIL_WHITE = 65535  # the tail of a segment, which is blended with the next one, is kept in 16 bits, as on disk
Item = TypeVar("Item")


class Frame(NamedTuple):
    """One frame of the input, with what bypasses the method: alpha, times, faults.

    Args:
        pixels: (3, H, W) float32 in [0, 1].
        alpha: (H, W) uint8 or uint16 up to 255 or 65535; ``None``: the input has none.
        time: presentation time, in ticks of the input.
        duration: in ticks of the input.
        fault: what is wrong with it, one of :data:`realis.video.playback.FAULTS`.
    """

    pixels: torch.Tensor
    alpha: np.ndarray | None = None
    time: int = 0
    duration: int = 0
    fault: Fault = ""


@dataclass(frozen=True)
class UpscaledSegment:
    """The finished frames of one segment.

    Args:
        start: number of its first frame in the video.
        frames: (F, 3, H, W) float32 in [0, 1].
        source: the F input frames that they come from.
        carry: the state to resume from after this segment; empty where the shot ends.
        cut: whether the shot ends here, and the video goes on with another.
        last: whether it is the end of the video.
    """

    start: int
    frames: torch.Tensor
    source: Sequence[Frame]
    carry: Carry
    cut: bool
    last: bool


def cut_segments(
    frames: Iterable[Item], segments: Segments, start: int, begins_shot: Callable[[Item], bool]
) -> Iterator[tuple[int, list[Item], bool, bool]]:
    """Cut a stream of frames, the first of which has the number ``start``, into segments.

    The next segment begins in the last ``segments.overlap`` frames of the one before or, at a scene cut, after it.

    Args:
        frames: read up to the first one beyond a segment.
        segments: their frames and overlap.
        start: number of the first frame.
        begins_shot: called with each frame in order; whether it belongs to another shot than the one before.

    Yields:
        Number of the first frame; the frames, fewer than ``segments.frames`` before a cut and at the end; whether the next
        frame begins another shot; whether there is no next frame.
    """
    held: list[Item] = []
    for frame in frames:
        cut = begins_shot(frame)
        if held and (cut or len(held) == segments.frames):
            yield start, held, cut, False
            finished = len(held) if cut else segments.frames - segments.overlap
            start, held = start + finished, held[finished:]
        held.append(frame)
    if held:
        yield start, held, False, True


def pad_frames(frames: Sequence[Item], length: int) -> list[Item]:
    """Extend ``frames`` to ``length`` by repeating the last one: motion that turns back costs it 0.3 dB of realis-tiny."""
    return [*frames, *[frames[-1]] * (length - len(frames))]


def upscale_stream(
    upscaler: Upscaler,
    frames: Iterable[Frame],
    size: tuple[int, int],
    tiles: Tiling,
    seed: int,
    advance: Callable[[float], None],
    start: int = 0,
    carry: Carry | None = None,
    prompt: str = "",
    across_cuts: bool = False,
) -> Iterator[UpscaledSegment]:
    """Upscale a stream of frames.

    Args:
        frames: from frame ``start`` on; read as they are needed.
        size: height and width of the result.
        tiles: tiles of every frame, over the size that the method itself makes.
        seed: seed of the noise field.
        advance: called with the work that was just done, in frames; the sum is the number of frames.
        start: number of the first frame: 0, or that of the segment after the one whose ``carry`` is given.
        carry: of the last finished segment, to resume from.
        prompt: what the video shows.
        across_cuts: let segments go on across scene cuts.

    Yields:
        Segments in order; together they hold every frame exactly once. A resumed stream yields the same as an uninterrupted
        one.

    Raises:
        FloatingPointError: the method returned something that is not finite.
    """
    needs, segments = upscaler.needs, upscaler.needs.segments
    carry = dict(carry or {})
    tail = carry.pop("tail", None)
    detector = None if across_cuts or segments.independent else CutDetector()
    parts = cut_segments(frames, segments, start, lambda frame: detector is not None and detector(frame.pixels))
    for begin, source, cut, is_last in parts:
        finished = len(source) if cut or is_last else len(source) - segments.overlap
        padded = torch.stack([frame.pixels for frame in pad_frames(source, segments.padded(len(source)))])
        native = needs.native_size(padded.shape[-2:], size)
        try:
            upscaled, carry = upscaler.upscale(
                padded, native, tiles=tiles, noise=segment_noise(needs, seed, begin, len(padded), tiles), carry=carry,
                prompt=prompt, advance=lambda share, finished=finished: advance(share * finished),
            )  # fmt: skip
            check_finite(upscaled, "the result")
        except FloatingPointError as error:
            raise FloatingPointError(f"frames {begin} to {begin + len(source) - 1}: {error}") from error
        if native != size:
            upscaled = resize(upscaled, size).clamp_(0, 1)
        upscaled = upscaled[: len(source)]
        if tail is not None:
            upscaled[: len(tail)] = blend_frames(tail.float() / TAIL_WHITE, upscaled[: len(tail)])
        if cut:  # nothing of a shot goes on into the next
            carry, tail = {}, None
        kept = dict(carry)
        if segments.blend and not cut:
            kept["tail"] = tail = (upscaled[finished:] * TAIL_WHITE).round().to(torch.uint16)
        yield UpscaledSegment(begin, upscaled[:finished], source[:finished], kept, cut, is_last)
        del upscaled, padded, source  # two segments at once would double the memory


def segment_noise(needs: Needs, seed: int, start: int, frames: int, tiles: Tiling) -> Iterator[torch.Tensor] | None:
    """Return the noise of a segment that begins with frame ``start``, (channels, latent frames, h, w) each time that it is
    asked for, from fields over the video; ``None`` for a method that needs none."""
    grid = needs.noise
    if grid is None:
        return None
    height, width = tiles.size
    # A latent frame has the number of the last frame that it covers: overlapping segments agree wherever they start
    numbers = range(start, start + frames, grid.frames) if grid.frames else [0]
    return noise_fields(seed, numbers, grid.channels, height // grid.pixels, width // grid.pixels)
