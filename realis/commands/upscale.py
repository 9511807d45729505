"""``upscale``: a video in, the same video larger out."""

import re
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realis.commands.plan import Plan, describe, make_plan
from realis.errors import InputError, require
from realis.log import logger, progress
from realis.models.hub import TINY
from realis.queues import Behind, prefetch
from realis.video.encoding import SDR, Encoding
from realis.video.fingerprint import fingerprint
from realis.video.sheet import before_after_sheet, save_sheet
from realis.video.source import IMAGES, Look, Source, TimedFrame, is_opaque, open_source
from realis.video.target import target_size
from realis.video.write import SegmentWriter, check_output

if TYPE_CHECKING:
    import numpy as np
    import torch

    from realis.upscaler import Upscaler

SAMPLE = Path("out/sample.mp4")
SAMPLE_LOOK = Look((540, 960), Fraction(1), 8, alpha=False, opaque=True, color=SDR)
READ_AHEAD = 4  # frames


@dataclass(frozen=True)
class UpscaleConfig:
    """Upscale a video. Without --input, a sample clip is rendered and upscaled."""

    input: str = ""  # video, image, or folder of images; empty: the sample clip, rendered to out/sample.mp4
    output: str = ""  # .mp4, .mkv, .mov, .png, or a folder for images; empty: out/NAME_TARGET.mp4
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
    codec: Literal["auto", "h264", "h265", "av1", "ffv1", "prores", "png"] = "auto"  # auto: h264; h265 above 8 bits
    depth: int = 0  # bits of a colour; 0: those of the input, where the codec has them
    crf: int = -1  # quality of h264, h265 and av1, lower is better; -1: 16, 18, 24
    drop_alpha: bool = False  # leave transparency out
    color_fix: Literal["none", "wavelet", "adain"] = "none"  # give the result the input's colours
    restart: bool = False  # begin anew, whatever is finished
    dry_run: bool = False  # print the plan and stop

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: got {self.seed}, wanted 0 to {2**31 - 1}")
        for name in ("steps", "tile_height", "tile_width", "tile_overlap", "segment_frames", "segment_overlap"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')}: got {getattr(self, name)}, wanted 0 or more")
        require(-1 <= self.crf <= 63, "--crf", self.crf, "-1 to 63")
        target_size(self.target, 2, 2, even=False)
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


# Fields that do not change what a result is
NOT_IN_KEY = ("input", "output", "device", "restart", "dry_run", "prompt_embeds", "empty_prompt_embeds")


def upscale(config: UpscaleConfig) -> Path | None:
    """Upscale as ``config`` says; returns the file written (``None`` after ``dry_run``)."""
    began = time.monotonic()

    # 1. Everything that can be wrong with what was given, before torch is imported
    path = Path(config.input) if config.input else SAMPLE
    output = Path(config.output) if config.output else Path("out") / default_name(path, config.target)
    if output.resolve() == path.resolve():
        raise InputError(f"--output {output}: is the input itself; choose another name")
    if not config.dry_run:
        check_output(output)
    if not config.input:
        make_plan(config, SAMPLE_LOOK, output)
        render_sample(path)

    # 2. The plan, the method, the work
    with open_source(path) as source:
        plan = make_plan(config, source.look, output)
        logger.info(describe(config, source, plan))
        if config.dry_run:
            return None
        key = result_key(config, source, plan)
        with SegmentWriter(
            output, plan.size, source.rate, plan.encoding, source, plan.pixel_aspect, key, config.restart
        ) as sink:
            run(config, source, plan, sink)

    # 3. The picture
    picture = output.with_name(f"{output.stem}_before_after.png")
    save_before_after(path, output, plan.segments.frames // 2, picture)
    took = time.monotonic() - began
    logger.info("wrote %s and %s in %.0f s, peak memory %.1f GiB", output, picture, took, peak_memory())
    return output


def default_name(path: Path, target: str) -> str:
    """Name of the result: a video of a video, an image of an image, a folder of a folder."""
    ending = "" if path.is_dir() else ".png" if path.suffix.lower() in IMAGES else ".mp4"
    return f"{path.stem}_{target}{ending}"


def result_key(config: UpscaleConfig, source: Source, plan: Plan) -> dict[str, Any]:
    """All that a result depends on, as plain values."""
    files = {"model": plan.folder if plan.cpc or config.method == "cpc" else None, "cpc": plan.cpc,
             "prompt_embeds": config.prompt_embeds, "empty_prompt_embeds": config.empty_prompt_embeds}  # fmt: skip
    settings = {name: value for name, value in asdict(config).items() if name not in NOT_IN_KEY}
    content = {f"content of --{name}": fingerprint(Path(file)) for name, file in files.items() if file}
    return {"realis": version("realis"), "the input": fingerprint(source.path), **settings, **content}


def peak_memory() -> float:
    """Largest resident size of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def render_sample(file: Path) -> None:
    """Render the sample clip, 960x540, 17 frames at 25 a second, and say so."""
    from realis.video.photographs import sample_clip

    check_output(file)
    with SegmentWriter(file, SAMPLE_LOOK.size, Fraction(25), Encoding(crf=20)) as sink:
        sink.write(0, (to_uint8(frame) for frame in sample_clip()))
    logger.info("no --input given: rendered the sample clip %s from photographs that scikit-image carries", file)


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


def run(config: UpscaleConfig, source: Source, plan: Plan, sink: SegmentWriter) -> None:
    """Read, upscale and write, segment by segment, from where the journal ends."""
    done = sink.journal.segments
    first = done[-1].stop if done else 0
    if done:
        logger.info("going on from frame %d of an earlier run", first)
    if sink.journal.complete:
        return

    from realis.upscaling.color_fix import ColorFix
    from realis.upscaling.stream import upscale_stream

    upscaler, carry = load(config, plan), sink.journal.carry()
    fix = ColorFix(config.color_fix, {n[6:]: carry.pop(n) for n in list(carry) if n.startswith("color.")})
    waiting: deque[TimedFrame] = deque()
    opaque = not plan.encoding.alpha and not config.drop_alpha
    frames = prefetch(read_frames(source, first, waiting, opaque), READ_AHEAD)
    with Behind() as behind, said_if_stopped(), progress(total=source.frame_count, unit="frame", initial=first) as bar:

        def advance(done: float) -> None:
            bar.update(done if bar.total is None else min(done, max(bar.total - bar.n, 0)))

        for segment in upscale_stream(upscaler, frames, plan.size, plan.tiles, config.seed, advance, first, carry):
            meta = [waiting.popleft() for _ in segment.frames]
            pairs = zip(segment.frames, segment.source, meta, strict=True)
            images = [stored(fix(frame, small), about.alpha, plan.encoding) for frame, small, about in pairs]
            kept = segment.carry | {f"color.{name}": x.clone() for name, x in fix.state.items()}
            times, durations = [about.time for about in meta], [about.duration for about in meta]
            behind.do(sink.write, segment.start, images, times, durations, kept, segment.last)
            del segment, pairs, images  # two segments at once would double the memory


@contextmanager
def said_if_stopped() -> Iterator[None]:
    """On Ctrl-C, say what stays and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("stopped; the same command goes on after the last segment that is finished")
        raise


def read_frames(
    source: Source, first: int, waiting: deque[TimedFrame], opaque: bool
) -> "Iterator[torch.Tensor]":  # fmt: skip
    """The frames of ``source`` from number ``first`` on, (3, H, W) float32 in [0, 1]; what else is known of them goes to
    ``waiting``.

    Raises:
        InputError: one is transparent where all should be ``opaque``.
    """
    import torch

    for frame in source.frames(first):
        if opaque and not is_opaque(frame.alpha):
            raise InputError(f"{source.path}: becomes transparent at tick {frame.time}; choose an --output that can be "
                             "transparent (PNG images, .mkv with ffv1, .mov with prores), or --drop-alpha")  # fmt: skip
        rgb = torch.from_numpy(frame.rgb).permute(2, 0, 1).float() / frame.white
        waiting.append(frame._replace(rgb=frame.rgb[:0]))
        yield rgb.clamp_(0, 1)


def stored(frame: "torch.Tensor", alpha: "np.ndarray | None", encoding: Encoding) -> "np.ndarray":
    """A frame (3, H, W) float in [0, 1] as the encoding takes it, with ``alpha`` (h, w) resized to it."""
    import torch

    from realis.ops.resize import resize

    kind = torch.uint8 if encoding.depth == 8 else torch.uint16
    levels = frame * encoding.white
    if encoding.alpha and alpha is not None:
        most = torch.iinfo(kind).max
        share = torch.from_numpy(alpha)[None].float() / torch.iinfo(torch.from_numpy(alpha).dtype).max
        levels = torch.cat([levels, resize(share, (frame.shape[1], frame.shape[2])).clamp_(0, 1) * most])
    return levels.round().to(kind).permute(1, 2, 0).contiguous().numpy()


def save_before_after(source: Path, output: Path, number: int, picture: Path) -> None:
    """A sheet of frame ``number`` (or the last one before it), resized bicubically and as it is in the result."""
    import torch

    from realis.ops.resize import resize

    images = []
    for path in (source, output):
        with open_source(path) as frames:
            *_, frame = islice(frames.frames(), number + 1)
        images.append(torch.from_numpy(frame.rgb).permute(2, 0, 1).float() / frame.white)
    bicubic = resize(images[0], (images[1].shape[1], images[1].shape[2])).clamp(0, 1)
    save_sheet(before_after_sheet(to_uint8(bicubic), to_uint8(images[1].clamp(0, 1)), ("bicubic", "realis")), picture)


def to_uint8(frame: "torch.Tensor") -> "np.ndarray":
    """(3, H, W) float in [0, 1] -> (H, W, 3) uint8, rounded."""
    return (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
