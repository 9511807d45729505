"""What ``upscale`` will do, known before torch is imported: size, encoding, segments, tiles; and what it will take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis import units
from realis.errors import InputError
from realis.models.hub import check_parts, has_text_encoder, model_folder
from realis.tiling.plan import plan_tiles
from realis.upscaler import FRAME_BY_FRAME, Segments, Tiling
from realis.video.encoding import Encoding, choose_encoding
from realis.video.source import Look
from realis.video.span import WHOLE
from realis.video.target import target_size

if TYPE_CHECKING:
    from realis.commands.upscale import UpscaleConfig

ASPECT_ERROR = 0.01  # of a size that was rounded to even numbers
TRAINED_FACTOR = 4  # of enlargement, in the paper and in the recipes here, at most


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Args:
        folder: of the model.
        cpc: folder of another CPC, or ``None``.
        size: height and width of the result.
        pixel_aspect: width over height of its pixels: not 1 where the size asked for would distort the picture.
        encoding: of the result.
        segments: how time is cut.
        tiles: how frames are cut.
        sampling: how the CPC is sampled, ``steps``, ``shift`` and ``sampler``: as asked for, else as its config.json says.
        own_steps: those that its config.json says.
        takes_text: whether the CPC and the model read what a prompt says.
        frames: how many there are; ``None``: not known.
    """

    folder: Path
    cpc: Path | None
    size: tuple[int, int]
    pixel_aspect: Fraction
    encoding: Encoding
    segments: Segments
    tiles: Tiling
    sampling: Mapping[str, Any] = field(default_factory=dict)
    own_steps: int = 0
    takes_text: bool = False
    frames: int | None = None

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile."""
        tile = next(iter(self.tiles))
        return tile.bottom - tile.top, tile.right - tile.left


def make_plan(config: "UpscaleConfig", look: Look, output: Path) -> Plan:
    """Find the model's files; check that they fit each other, and that sizes, tiles and encoding fit them.

    Raises:
        InputError: something does not.
    """
    encoding = choose_encoding(output, config.codec, config.depth, config.crf, look, config.drop_alpha)
    height, width = look.shown
    size = target_size(config.target, width, height, even=not encoding.is_rgb)
    encoding.check_size(size)
    aspect = Fraction(width * size[0], height * size[1])
    distorts = abs(aspect - 1) > ASPECT_ERROR + 2 / min(size)
    shape = (size, aspect.limit_denominator(1000) if distorts else Fraction(1), encoding)
    if config.method == "bicubic":
        return Plan(Path(), None, *shape, FRAME_BY_FRAME, plan_tiles(size, None, 0, 1))
    embedded = config.prompt_embeds or config.empty_prompt_embeds
    needs_text = bool(config.prompt or config.negative_prompt) or not embedded
    cpc = model_folder(config.cpc, "--cpc", text_encoder=False) if config.cpc else None  # first: it may be mistyped
    folder = model_folder(config.model, text_encoder=needs_text)
    if config.prompt and not has_text_encoder(folder):
        raise InputError(
            f"--prompt: {config.model} has no text encoder and knows only the empty prompt; leave --prompt out"
        )
    controlnet = check_parts(folder, cpc, config.decoder)
    frames, tile_height, tile_width = controlnet["window"]
    segments = Segments(config.segment_frames or frames, config.segment_overlap, period=4)
    tile = (config.tile_height or tile_height, config.tile_width or tile_width)
    tiles = plan_tiles(size, tile, config.tile_overlap, 16)
    own_steps, own_sampler = controlnet.get("steps", 20), controlnet.get("sampler", "euler")
    sampling = {
        "steps": config.steps or own_steps,
        "shift": config.shift or controlnet.get("shift", 3.0),
        "sampler": own_sampler if config.sampler == "auto" else config.sampler,
    }
    takes_text = controlnet.get("text_conditioned", True) and has_text_encoder(folder)
    return Plan(folder, cpc, *shape, segments, tiles, sampling, own_steps, takes_text)


def describe(config: "UpscaleConfig", look: Look, rate: Fraction, plan: Plan) -> str:
    """The plan in one line: sizes, encoding, segments, tiles, memory."""
    s, size, count = plan.segments, plan.size, plan.frames
    height, width = look.size
    frames = (min(s.frames, count or s.frames) + s.overlap) * 3 * 4 * (2 * size[0] * size[1] + width * height)
    length = "one image" if count == 1 else f"{count or 'as yet unknown'} frames at {float(rate):.5g} a second"
    length += f" ({config.span})" * (config.span != WHOLE)
    parts = [
        f"plan: {width}x{height} -> {size[1]}x{size[0]}, {length}, as {plan.encoding.codec} of {plan.encoding.depth} bits"
    ]
    memory = f"memory: about {units.size(frames)} for frames"
    if config.method != "bicubic":
        number = units.count(s.count(count), "segment") if count else "segments"
        tiles = f"{units.count(len(plan.tiles), 'tile')} of {plan.tile[1]}x{plan.tile[0]}"
        steps, sampler, shift = (plan.sampling[name] for name in ("steps", "sampler", "shift"))
        parts.append(
            f"{number} of up to {s.frames} frames, each in {tiles}, {units.count(steps, 'step')} of {sampler} at shift {shift:g}"
        )
        memory += f" and {units.size(model_size(plan))} for the model"
    return "; ".join([*parts, memory])


def model_size(plan: Plan) -> int:
    """Bytes of the files of the model and of the CPC in place of its own."""
    files = {file for folder in (plan.folder, plan.cpc) if folder for file in folder.rglob("*.safetensors")}
    return sum(file.stat().st_size for file in files)


def advice(config: "UpscaleConfig", look: Look, plan: Plan) -> Iterator[str]:
    """Yield what would probably do better, or as well and in less time."""
    prompted = bool(config.prompt or config.prompt_embeds)
    if plan.takes_text and not prompted:
        yield ("no prompt: this CPC was made to be trained with a caption of each clip; --prompt (or --prompt-file, for "
               "several) tells it what the video shows")  # fmt: skip
    if prompted and not plan.takes_text:
        yield "--prompt: this CPC takes no text, and was made to be trained without captions; leave the prompt out"
    if plan.own_steps == 1 and plan.sampling["steps"] > 1:
        yield f"--steps {config.steps}: this CPC was trained to sample in one step, and more spoil its pictures"
    if plan.pixel_aspect != 1:
        yield (f"--target {config.target} has another aspect than the video: its pixels are marked as {plan.pixel_aspect} times as "
               "wide as high, so that players show it undistorted")  # fmt: skip
    height, width = look.shown
    factor = plan.size[0] / height
    if config.method != "bicubic" and factor > TRAINED_FACTOR * (1 + ASPECT_ERROR):
        smaller = target_size(f"{TRAINED_FACTOR}x", width, height, even=not plan.encoding.is_rgb)
        share = smaller[0] * smaller[1] / (plan.size[0] * plan.size[1])
        yield (f"{factor:.3g} times as large as the input, and models are trained for up to {TRAINED_FACTOR} times: beyond "
               f"that there is hardly more to see; --target {TRAINED_FACTOR}x ({smaller[1]}x{smaller[0]}) takes {share:.0%} "
               "of the time")  # fmt: skip
