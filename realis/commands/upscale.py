"""``upscale``: a video in, the same video larger out."""

import re
import resource
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realis.errors import InputError
from realis.log import logger, progress
from realis.models.hub import TINY, check_parts, model_folder
from realis.tiling.plan import plan_tiles
from realis.upscaler import FRAME_BY_FRAME, Segments, Tiling
from realis.video.read import VideoReader
from realis.video.sheet import before_after_sheet, save_sheet
from realis.video.target import target_size
from realis.video.write import SegmentWriter, check_output

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from realis.upscaler import Upscaler

SAMPLE = Path("out/sample.mp4")
SAMPLE_SIZE = (960, 540)


@dataclass(frozen=True)
class UpscaleConfig:
    """Upscale a video. Without --input, a sample clip is rendered and upscaled."""

    input: str = ""  # video file; empty: the sample clip, rendered to out/sample.mp4
    output: str = ""  # .mp4, .mkv or .mov; empty: out/NAME_TARGET.mp4
    target: str = "4k"  # 4k, 1080p, 720p, a factor such as 2x or 4x, or WIDTHxHEIGHT
    method: Literal["cpc", "bicubic"] = "cpc"
    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    cpc: str = ""  # folder or hub id of a trained CPC; empty: the model's own
    cpc_scale: float = 1.0  # strength of the control
    decoder: Literal["auto", "wan", "lr"] = "auto"  # auto: the LR-conditioned decoder if the model has one
    prompt: str = ""  # what the video shows
    negative_prompt: str = ""  # read with --guidance other than 1
    prompt_embeds: str = ""  # safetensors file with cached prompt embeddings, in place of --prompt
    empty_prompt_embeds: str = ""  # the same of the empty prompt, where no text encoder is to be loaded
    steps: int = 0  # sampling steps; 0: what the CPC was trained for
    shift: float = 3.0  # moves sampling towards high noise levels
    guidance: float = 1.0  # classifier-free guidance; 1: off
    sampler: Literal["euler", "unipc"] = "euler"
    seed: int = 0
    device: str = "auto"  # auto: cuda if there is one, else cpu
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    tile_height: int = 0  # pixels, a multiple of 16; 0: what the model was made for
    tile_width: int = 0
    tile_overlap: int = 32  # pixels that tiles share at least
    segment_frames: int = 0  # frames processed at a time, 4 n + 1; 0: what the model was made for
    segment_overlap: int = 5  # frames that segments share, 4 n + 1
    dry_run: bool = False  # print the plan and stop

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: got {self.seed}, wanted 0 to {2**31 - 1}")
        for name in ("steps", "tile_height", "tile_width", "tile_overlap", "segment_frames", "segment_overlap"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')}: got {getattr(self, name)}, wanted 0 or more")
        target_size(self.target, 2, 2)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise InputError(f"--device: got {self.device!r}, wanted auto, cpu, cuda, cuda:N or mps")
        if self.shift <= 0:
            raise InputError(f"--shift: got {self.shift}, wanted above 0")
        if self.prompt and self.prompt_embeds:
            raise InputError("--prompt and --prompt-embeds: got both, wanted one")
        for name in ("prompt_embeds", "empty_prompt_embeds"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise InputError(f"--{name.replace('_', '-')} {file}: nothing there; wanted a safetensors file")


def upscale(config: UpscaleConfig) -> Path | None:
    """Upscale as ``config`` says; returns the file written (``None`` after ``dry_run``)."""
    began = time.monotonic()

    # 1. Everything that can be wrong with what was given, before torch is imported
    path = Path(config.input) if config.input else SAMPLE
    output = Path(config.output or f"out/{path.stem}_{config.target}.mp4")
    if output.resolve() == path.resolve():
        raise InputError(f"--output {output}: is the input itself; choose another name")
    size = target_size(config.target, *(input_size(path) if config.input else SAMPLE_SIZE))
    if not config.dry_run:
        check_output(output)
    plan = make_plan(config, size)
    if not config.input:
        render_sample(path)

    # 2. The plan, the method, the work
    with VideoReader(path) as source:
        logger.info(describe(config, source, plan))
        if lost := source.not_kept():
            logger.warning("not carried over to the result yet: %s", ", ".join(lost))
        if config.dry_run:
            return None
        upscaler = load(config, plan)
        with SegmentWriter(output, size, source.rate) as sink:
            sheet = run(config, source, plan, upscaler, sink)
    picture = output.with_name(f"{output.stem}_before_after.png")
    save_sheet(sheet, picture)
    took = time.monotonic() - began
    logger.info("wrote %s and %s in %.0f s, peak memory %.1f GiB", output, picture, took, peak_memory())
    return output


def input_size(path: Path) -> tuple[int, int]:
    """Width and height of a video."""
    with VideoReader(path) as source:
        return source.width, source.height


def peak_memory() -> float:
    """Largest resident size of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def render_sample(file: Path) -> None:
    """Render the sample clip, 960x540, 17 frames at 25 a second, and say so."""
    from realis.video.photographs import sample_clip

    check_output(file)
    with SegmentWriter(file, SAMPLE_SIZE[::-1], Fraction(25), crf=20) as sink:
        sink.write(0, (to_uint8(frame) for frame in sample_clip()))
    logger.info("no --input given: rendered the sample clip %s from photographs that scikit-image carries", file)


@dataclass(frozen=True)
class Plan:
    """What will be done, known without torch: where the model is, the result's size, the segments, the tiles."""

    folder: Path
    cpc: Path | None
    size: tuple[int, int]
    segments: Segments
    tiles: Tiling


def make_plan(config: UpscaleConfig, size: tuple[int, int]) -> Plan:
    """Find the model's files; check that they fit each other, and that tiles and segments fit them."""
    if config.method == "bicubic":
        return Plan(Path(), None, size, FRAME_BY_FRAME, plan_tiles(size, None, 0, 1))
    embedded = config.prompt_embeds or config.empty_prompt_embeds
    needs_text = bool(config.prompt or config.negative_prompt) or not embedded
    folder = model_folder(config.model, text_encoder=needs_text)
    cpc = model_folder(config.cpc, text_encoder=False) if config.cpc else None
    frames, height, width = check_parts(folder, cpc, config.decoder)["window"]
    segments = Segments(config.segment_frames or frames, config.segment_overlap, period=4)
    tile = (config.tile_height or height, config.tile_width or width)
    return Plan(folder, cpc, size, segments, plan_tiles(size, tile, config.tile_overlap, 16))


def load(config: UpscaleConfig, plan: Plan) -> "Upscaler":
    """Load the method."""
    from realis.methods import MethodOptions, load_method

    def file(name: str) -> Path | None:
        return Path(name) if name else None

    options = MethodOptions(
        folder=plan.folder, cpc=plan.cpc, decoder=config.decoder, prompt=config.prompt,
        negative_prompt=config.negative_prompt, prompt_embeds=file(config.prompt_embeds),
        empty_prompt_embeds=file(config.empty_prompt_embeds), steps=config.steps, shift=config.shift,
        guidance=config.guidance, cpc_scale=config.cpc_scale, sampler=config.sampler, segments=plan.segments,
        device=usable_device(config.device), dtype=config.dtype,
    )  # fmt: skip
    return load_method(config.method, options)


def usable_device(name: str) -> str:
    """``name``, or for ``auto`` cuda if there is one, else cpu.

    Raises:
        InputError: no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return name


def describe(config: UpscaleConfig, source: VideoReader, plan: Plan) -> str:
    """The plan in one line: sizes, segments, tiles, memory."""
    s, size, count = plan.segments, plan.size, source.frame_count
    segments = max(1, -(-(count - s.overlap) // (s.frames - s.overlap))) if count else "?"
    tile = next(iter(plan.tiles))
    held = min(s.frames, count or s.frames) + s.overlap
    gibibytes = held * 3 * 4 * (2 * size[0] * size[1] + source.width * source.height) / 2**30
    return (
        f"plan: {source.width}x{source.height} -> {size[1]}x{size[0]}, frames: {count or '?'} at "
        f"{float(source.rate):.3f}/s; {config.method}, segments: {segments} of {s.frames} frames, tiles: "
        f"{len(plan.tiles)} of {tile.right - tile.left}x{tile.bottom - tile.top}; "
        f"frames held in memory: about {gibibytes:.1f} GiB"
    )


def run(
    config: UpscaleConfig, source: VideoReader, plan: Plan, upscaler: "Upscaler", sink: SegmentWriter
) -> "Image.Image":  # fmt: skip
    """Read, upscale and write, segment by segment; returns the sheet of the middle frame of the first one."""
    import torch

    from realis.ops.resize import resize
    from realis.upscaling.stream import upscale_stream

    frames = (torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in source)
    with progress(total=source.frame_count, unit="frame") as bar:

        def advance(done: float) -> None:
            bar.update(done if bar.total is None else min(done, max(bar.total - bar.n, 0)))

        for segment in upscale_stream(upscaler, frames, plan.size, plan.tiles, config.seed, advance):
            if segment.start == 0:
                middle = len(segment.frames) // 2
                bicubic = resize(segment.source[middle], plan.size).clamp(0, 1)
                pair = (to_uint8(bicubic), to_uint8(segment.frames[middle]))
                sheet = before_after_sheet(*pair, ("bicubic", f"realis, {config.method}"))
            sink.write(segment.start, map(to_uint8, segment.frames))
            del segment  # two segments at once would double the memory
    return sheet


def to_uint8(frame: "torch.Tensor") -> "np.ndarray":
    """(3, H, W) float in [0, 1] -> (H, W, 3) uint8, rounded."""
    return (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
