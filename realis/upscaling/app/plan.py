"""Plan the upscaling of one input, before torch is imported: size, encoding, segments, tiles."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, filterfalse
from pathlib import Path

from realis.core import units
from realis.models.hub import is_variant
from realis.tiling.plan import plan_tiles, step_grids
from realis.upscaler import Needs, Segments, Tiling
from realis.upscaling.app.config import UpscaleConfig
from realis.video.encoding import Encoding, choose_encoding
from realis.video.source import VideoFormat
from realis.video.span import WHOLE
from realis.video.target import target_size

BYTES = {"bfloat16": 2, "float32": 4}  # of a parameter
ASPECT_ERROR = 0.01  # relative error of the aspect ratio that rounding to even sizes may cause


@dataclass(frozen=True)
class Plan:
    """How one input will be upscaled.

    Args:
        size: height and width of the result.
        pixel_aspect: width over height of its pixels; not 1 where the size asked for has another aspect ratio.
        encoding: of the result.
        needs: of the method.
        native_size: height and width that the method itself makes, resized to ``size`` if they differ.
        tiles: the tiles of its frames.
        frames: number of frames; ``None``: not known.
    """

    size: tuple[int, int]
    pixel_aspect: Fraction
    encoding: Encoding
    needs: Needs
    native_size: tuple[int, int]
    tiles: Tiling
    frames: int | None = None

    @property
    def segments(self) -> Segments:
        """How the video is cut into segments."""
        return self.needs.segments

    @property
    def frames_at_a_time(self) -> int:
        """Frames that the method is given at most: those of a segment, or of a shorter video."""
        return min(self.segments.frames, self.segments.padded(self.frames or self.segments.frames))

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile."""
        tile = next(iter(self.tiles))
        return tile.bottom - tile.top, tile.right - tile.left


def make_plan(config: UpscaleConfig, needs: Needs, video_format: VideoFormat, output: Path) -> Plan:
    """Choose size, tiles and encoding of a result.

    Raises:
        InputError: target, codec, depth and output do not fit each other or the video.
    """
    encoding = choose_encoding(output, config.codec, config.depth, config.crf, video_format, config.drop_alpha)
    height, width = video_format.display_size
    size = target_size(config.target, width, height, even=not encoding.is_rgb)
    encoding.check_size(size)
    aspect = Fraction(width * size[0], height * size[1])
    distorts = abs(aspect - 1) > ASPECT_ERROR + 2 / min(size)
    native_size = needs.native_size(video_format.size, size)
    tiles = tiles_of(native_size, needs, tile_for(native_size, needs))
    return Plan(size, aspect.limit_denominator(1000) if distorts else Fraction(1), encoding, needs, native_size, tiles)


def tile_for(size: tuple[int, int], needs: Needs) -> tuple[int, int] | None:
    """Return height and width of the tiles that a method needs for frames of ``size``; ``None``: whole frames."""
    if needs.tile and needs.tile_turns and (size[0] > size[1]) != (needs.tile[0] > needs.tile[1]):
        return needs.tile[1], needs.tile[0]
    return needs.tile


def tiles_of(size: tuple[int, int], needs: Needs, tile: tuple[int, int] | None) -> Tiling:
    """Return the tiles of frames of ``size``, ``tile`` being what :func:`tile_for` returned, or less where memory is short."""
    return plan_tiles(size, tile, needs.tile_overlap, needs.multiple, exact=needs.tile_exact)


def describe(config: UpscaleConfig, video_format: VideoFormat, rate: Fraction, plan: Plan) -> str:
    """Describe the plan in one line: sizes, encoding, segments, tiles, memory."""
    segments, needs, size, count = plan.segments, plan.needs, plan.size, plan.frames
    height, width = video_format.size
    length = "one image" if count == 1 else f"{count or 'as yet unknown'} frames at {float(rate):.5g} a second"
    length += f" ({config.span})" * (config.span != WHOLE)
    parts = [
        f"plan: {width}x{height} -> {size[1]}x{size[0]}, {length}, as {plan.encoding.codec} of {plan.encoding.depth} bits"
    ]
    if plan.native_size != size:
        parts.append(f"--method {config.method} makes {plan.native_size[1]}x{plan.native_size[0]}, which is resized")
    memory = f"memory: about {units.size(frames_memory(plan, video_format))} for frames"
    if needs.weights:
        number = units.count(segments.count(count), "segment") if count else "segments"
        tiles = (
            f", each in {units.count(len(plan.tiles), 'tile')} of {plan.tile[1]}x{plan.tile[0]}" if needs.tile else ""
        )
        sampling = f", {needs.sampling}" if needs.sampling else ""
        strength = config.strength_for(needs)
        sampling += f", strength {strength:g}" * (strength != 1)
        parts.append(f"{number} of up to {units.count(segments.frames, 'frame')}{tiles}{sampling}")
        kept = kept_memory(config, plan)
        memory += f", {units.size(kept)} for the control of all tiles" if kept else ""
        memory += f" and {units.size(weights_memory(needs))} for the model"
    return "; ".join([*parts, memory])


def frames_memory(plan: Plan, video_format: VideoFormat) -> int:
    """Return the bytes that the frames of a segment take, of input and result, and its latents."""
    frames, (height, width), noise = plan.frames_at_a_time, video_format.size, plan.needs.noise
    held = frames + plan.segments.overlap
    latents = 0
    if noise:  # of the LR, noise, sampled, and those of a step
        cells = plan.tiles.size[0] * plan.tiles.size[1] // noise.pixels**2
        latents = 4 * noise.channels * noise.fields(frames) * cells
    return 4 * (held * 3 * (2 * plan.size[0] * plan.size[1] + height * width) + latents)


def kept_memory(config: UpscaleConfig, plan: Plan) -> int:
    """Return the bytes that tiles keep while all of a segment are sampled together."""
    needs = plan.needs
    latent_frames = needs.noise.fields(plan.frames_at_a_time) if needs.noise else 0
    tiles = chain.from_iterable(step_grids(plan.tiles, needs))
    return needs.kept_values(tiles, latent_frames) * BYTES[config.dtype]


def weights_memory(needs: Needs) -> int:
    """Return the bytes that weights take: as much as their files, or what a dtype of their own makes of them."""
    paths = needs.weights.values()
    files = {file for path in paths for file in weight_files(path, needs.parts.get(path, ()))}
    own = {file: needs.dtypes[file.parent] for file in files if file.parent in needs.dtypes}
    cast = sum(parameter_count(file) * BYTES[dtype] for file, dtype in own.items())
    return cast + sum(file.stat().st_size for file in files - own.keys())


def parameter_count(file: Path) -> int:
    """Return the number of parameters in a safetensors file, of which only the header is read."""
    from safetensors import safe_open

    with safe_open(file, "np") as tensors:
        return sum(math.prod(weight.get_shape()) for weight in map(tensors.get_slice, tensors.keys()))


def weight_files(path: Path, parts: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the files of weights that ``path`` stands for: itself, or the safetensors files of a folder, or of some ``parts``
    of one."""
    for folder in [path / part for part in parts] or [path]:
        yield from filterfalse(is_variant, folder.rglob("*.safetensors")) if folder.is_dir() else [folder]


def advice(config: UpscaleConfig, video_format: VideoFormat, plan: Plan) -> Iterator[str]:
    """Yield advice on settings that would probably give better results, or as good ones in less time."""
    needs = plan.needs
    yield from needs.remarks
    trained = tile_for(plan.native_size, needs)
    if trained and needs.tile_exact and plan.tile != trained:
        yield (f"the frame is smaller than a tile of {trained[1]}x{trained[0]}: tiles are {plan.tile[1]}x{plan.tile[0]}, and the "
               "model may not have been trained at that size")  # fmt: skip
    if config.strength != "auto" and not needs.is_network:
        yield f"--strength {config.strength:g}: changes nothing; {config.method} is the resized input, which others are blended with"
    if plan.pixel_aspect != 1:
        yield (f"--target {config.target} has another aspect than the video: its pixels are marked as {plan.pixel_aspect} times as "
               "wide as high, so that players show it undistorted")  # fmt: skip
    height, width = video_format.display_size
    factor = plan.size[0] / height
    if needs.trained_scale and factor > needs.trained_scale * (1 + ASPECT_ERROR):
        smaller = target_size(f"{needs.trained_scale}x", width, height, even=not plan.encoding.is_rgb)
        share = smaller[0] * smaller[1] / (plan.size[0] * plan.size[1])
        # a method of one scale does the same work for either
        time = (
            ""
            if needs.scales
            else f"; --target {needs.trained_scale}x ({smaller[1]}x{smaller[0]}) takes {share:.0%} of the time"
        )
        yield (f"{factor:.3g} times as large as the input, and models are trained for up to {needs.trained_scale} times: beyond "
               f"that there is hardly more to see{time}")  # fmt: skip
