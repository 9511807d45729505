"""``upscale``: videos in, the same videos larger out."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from realis import units
from realis.commands.frames import to_uint8
from realis.commands.inputs import find_inputs, read_prompts
from realis.commands.measure import Estimate, Measure
from realis.commands.outputs import check_names, output_names, without_own
from realis.commands.plan import make_plan
from realis.commands.upscale_file import PREVIEW_FRAMES, announced, prepare, upscale_file
from realis.errors import InputError, require
from realis.log import logger
from realis.models.hub import TINY
from realis.video.deinterlace import Deinterlace
from realis.video.encoding import SDR, Encoding
from realis.video.finished import check_replaced
from realis.video.source import Look, open_source
from realis.video.span import Span, parse_span
from realis.video.target import target_size
from realis.video.write import SegmentWriter, check_folder, check_output

SAMPLE = Path("out/sample.mp4")
SAMPLE_KEY = {"rendered": "the sample clip"}  # in its notes, by which it is known to be no file of the user's
SAMPLE_LOOK = Look((540, 960), Fraction(1), 8, alpha=False, opaque=True, color=SDR)


@dataclass(frozen=True)
class UpscaleConfig:
    """Upscale videos and images, into out/ unless --output says otherwise.

    Without an input, a sample clip is rendered and upscaled.

      upscale.py holiday.mp4 --target 4k
      upscale.py holiday.mp4 --dry-run      (the plan, and how long it would take)
      upscale.py clips/*.mp4 --target 2x --output upscaled
    """

    POSITIONAL: ClassVar = "input"

    # in the order in which --help shows them: what most people need first
    input: tuple[str, ...] = ()  # videos, images, folders of either, patterns; the flag may be left out
    output: str = ""  # .mp4, .mkv, .mov, .png; a folder for several or for images; empty: out/NAME_TARGET.mp4
    target: str = "4k"  # 8k, 4k, 1080p, 720p, a factor such as 2x or 4x, or WIDTHxHEIGHT
    start: str = ""  # upscale from here on: seconds (90.5), 1:30 or 1:02:03.5; empty: from the beginning
    duration: str = ""  # how much, written as --start is; empty: to the end
    method: Literal["cpc", "bicubic"] = "cpc"  # the diffusion model, or interpolation
    preview: bool = False  # a few frames from the middle, to look at before all of the work
    dry_run: bool = False  # print the plan, time one tile, and stop
    compare: str = ""  # also write this video: bicubic on the left half, the result on the right
    restart: bool = False  # begin anew, whatever is finished
    codec: Literal["auto", "h264", "h265", "av1", "ffv1", "prores", "png"] = "auto"  # auto: h264; h265 above 8 bits
    crf: int = -1  # quality of h264, h265 and av1, lower is better; -1: 16, 18, 24
    depth: int = 0  # bits of a colour; 0: those of the input, where the codec has them
    color_fix: Literal["none", "wavelet", "adain"] = "none"  # give the result the input's colours
    deinterlace: Deinterlace = "no"  # frame: a frame of each pair of fields; field: one of each, at twice the rate
    drop_alpha: bool = False  # leave transparency out
    strict: bool = False  # decode all of the input first, and refuse it if anything in it is damaged
    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    cpc: str = ""  # folder or hub id of a trained CPC; empty: the model's own
    prompt: str = ""  # what the video shows
    prompt_file: str = ""  # JSON lines {"file": NAME, "prompt": TEXT}, for several inputs
    negative_prompt: str = ""  # read with --guidance other than 1
    device: str = "auto"  # auto: cuda if there is one, else cpu
    offload: bool = False  # weights wait in main memory, layer by layer: for GPUs that the model does not fit
    fp8: bool = False  # weights are kept in 8 bits: half the memory, nearly the same result
    dtype: Literal["bfloat16", "float32"] = "bfloat16"  # of the model; float32 takes twice the memory
    compile: bool = False  # torch.compile: faster after minutes of compiling
    attention: str = ""  # diffusers' backend of attention, such as flash or sage; empty: torch's choice
    steps: int = 0  # sampling steps; 0: what the CPC was trained for
    seed: int = 0  # of the noise; the same seed gives the same result
    sampler: Literal["auto", "euler", "unipc"] = "auto"  # solver of the flow's equation; auto: what the CPC is made for
    shift: float = 0.0  # above 1: moves sampling towards high noise levels; 0: what the CPC was trained for
    guidance: float = 1.0  # classifier-free guidance; 1: off
    cpc_scale: float = 1.0  # strength of the control
    decoder: Literal["auto", "wan", "lr"] = "auto"  # auto: the LR-conditioned decoder if the model has one
    tile_height: int = 0  # pixels, a multiple of 16; 0: what the model was made for
    tile_width: int = 0  # pixels, as --tile-height
    tile_overlap: int = 32  # pixels that tiles share at least
    segment_frames: int = 0  # frames processed at a time, 4 n + 1; 0: what the model was made for
    segment_overlap: int = 5  # frames that segments share, 4 n + 1
    prompt_embeds: str = ""  # safetensors file with cached prompt embeddings, in place of --prompt
    empty_prompt_embeds: str = ""  # the same of the empty prompt, where no text encoder is to be loaded

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: got {self.seed}, wanted 0 to {2**31 - 1}")
        sizes = ("tile_height", "tile_width", "tile_overlap", "segment_frames", "segment_overlap")
        for name in ("steps", "shift", *sizes):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')}: got {getattr(self, name)}, wanted 0 or more")
        require(self.crf >= -1, "--crf", self.crf, "-1 or more")
        target_size(self.target, 2, 2, even=False)
        parse_span(self.start, self.duration)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise InputError(f"--device: got {self.device!r}, wanted auto, cpu, cuda, cuda:N or mps")
        if self.prompt and self.prompt_embeds:
            raise InputError("--prompt and --prompt-embeds: got both, wanted one")
        for name in ("prompt_embeds", "empty_prompt_embeds", "prompt_file"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise InputError(f"--{name.replace('_', '-')} {file}: nothing there; wanted a file")

    @property
    def span(self) -> Span:
        """The part that --start and --duration name."""
        return parse_span(self.start, self.duration)


def upscale(config: UpscaleConfig) -> list[Path]:
    """Upscale as ``config`` says, or measure what it would take; returns the files written.

    Raises:
        InputError: something given cannot be used, or some of several inputs failed.
    """
    if not config.input:
        return upscale_sample(config)
    paths = without_own(config, find_inputs(config.input))
    prompts = read_prompts(config.prompt_file)
    if unnamed := [path.name for path in paths if prompts and path.name not in prompts]:
        logger.warning("%s names %d of %d inputs, not %s", config.prompt_file, len(paths) - len(unnamed), len(paths),
                       ", ".join(unnamed[:3]) + ", ..." * (len(unnamed) > 3))  # fmt: skip
    outputs = output_names(config, paths)
    check_names(config, paths, outputs)
    inputs = [
        (replace(config, prompt=prompts.get(path.name, config.prompt)), path, output)
        for path, output in zip(paths, outputs, strict=True)
    ]
    return upscale_several(config, inputs) if len(inputs) > 1 else upscale_one(*inputs[0])


def upscale_one(config: UpscaleConfig, path: Path, output: Path) -> list[Path]:
    """Upscale one input, or measure what it would take.

    Raises:
        InputError: it cannot be upscaled.
    """
    job = prepare(config, path, output)
    if not config.dry_run:
        return [upscale_file(job)]
    Measure(config).measure(job.look, job.plan, output)
    return []


def upscale_several(config: UpscaleConfig, inputs: list[tuple[UpscaleConfig, Path, Path]]) -> list[Path]:
    """Upscale several inputs, or measure what they would take. A bad one does not stop the rest.

    Args:
        config: of the command.
        inputs: each with its own configuration, and where the result goes.

    Raises:
        InputError: some failed.
    """
    for folder in {output.parent for _, _, output in inputs if not config.dry_run}:
        check_folder(folder)
    failed: list[Path] = []

    # 1. What none of the work is needed to see
    ahead: list[tuple[UpscaleConfig, Path, Path, int]] = []
    for own, path, output in inputs:
        with left_out(path, failed), open_source(path, own.deinterlace, own.span) as source:
            plan = announced(own, source, output)
            frames = min(plan.frames or 0, PREVIEW_FRAMES if own.preview else plan.frames or 0)
            ahead.append((own, path, output, frames * len(plan.tiles)))

    # 2. The work; the time that is left by frames and tiles
    measure, total, written = Measure(config), Estimate(), []
    left, done, began, spent = sum(amount for *_, amount in ahead), 0, time.monotonic(), 0.0
    for number, (own, path, output, amount) in enumerate(ahead, start=1):
        remaining = f", about {units.duration(spent * left / done)} left for all" if done else ""
        logger.info("%d of %d: %s%s", number, len(ahead), path, remaining)
        left -= amount
        with left_out(path, failed):
            job, at_work = prepare(own, path, output), time.monotonic()
            if config.dry_run:
                total += measure.measure(job.look, job.plan, output)
                continue
            written.append(upscale_file(job))
            if not job.done:
                spent, done = spent + time.monotonic() - at_work, done + amount
    took = f"in all: {total}" if config.dry_run else f"done in {units.duration(time.monotonic() - began)}"
    logger.info("%d of %d %s", len(inputs) - len(failed), len(inputs), took)
    if failed:
        passes = "" if config.dry_run else ", and the same command (without --restart) passes over what is done"
        raise InputError(
            f"{len(failed)} of {len(inputs)} inputs failed: {', '.join(map(str, failed))}; the messages above say why{passes}"
        )
    return written


@contextmanager
def left_out(path: Path, failed: list[Path]) -> Iterator[None]:
    """Log what goes wrong with one of several inputs, and note that it has ``failed``."""
    try:
        yield
    except (InputError, OSError, MemoryError, RuntimeError, FloatingPointError) as error:
        failed.append(path)
        reason = " ".join(str(error).split()) or type(error).__name__
        logger.warning("%s: left out: %s", path, reason.removeprefix(f"{path}: "))


def upscale_sample(config: UpscaleConfig) -> list[Path]:
    """Render the sample clip, 960x540, 17 frames at 25 a second, say so, and upscale it."""
    (output,) = output_names(config, [SAMPLE])
    check_names(config, [SAMPLE], [output])
    make_plan(config, SAMPLE_LOOK, output)
    for file in (SAMPLE, output):
        check_output(file)
    check_replaced(SAMPLE, SAMPLE_KEY, anew=True, flag="the sample clip")

    from realis.video.photographs import sample_clip

    with SegmentWriter(SAMPLE, SAMPLE_LOOK.size, Fraction(25), Encoding(crf=20), key=SAMPLE_KEY, anew=True) as sink:
        sink.write(0, (to_uint8(frame) for frame in sample_clip()))
    logger.info("no --input given: rendered the sample clip %s from photographs that scikit-image carries", SAMPLE)
    return upscale_one(config, SAMPLE, output)
