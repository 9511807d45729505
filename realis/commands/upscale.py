"""``upscale``: videos in, the same videos larger out."""

import re
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from realis.commands.frames import to_uint8
from realis.commands.inputs import find_inputs, read_prompts
from realis.commands.outputs import check_names, output_names, without_own
from realis.commands.plan import make_plan
from realis.commands.upscale_file import upscale_file
from realis.errors import InputError, require
from realis.log import logger
from realis.models.hub import TINY
from realis.video.deinterlace import Deinterlace
from realis.video.encoding import SDR, Encoding
from realis.video.source import Look
from realis.video.target import target_size
from realis.video.write import SegmentWriter, check_folder, check_output

SAMPLE = Path("out/sample.mp4")
SAMPLE_LOOK = Look((540, 960), Fraction(1), 8, alpha=False, opaque=True, color=SDR)


@dataclass(frozen=True)
class UpscaleConfig:
    """Upscale videos. Without --input, a sample clip is rendered and upscaled."""

    input: tuple[str, ...] = ()  # videos, images, folders of either, patterns; empty: a sample clip is rendered
    output: str = ""  # .mp4, .mkv, .mov, .png; a folder for several or for images; empty: out/NAME_TARGET.mp4
    target: str = "4k"  # 4k, 1080p, 720p, a factor such as 2x or 4x, or WIDTHxHEIGHT
    method: Literal["cpc", "bicubic"] = "cpc"
    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    cpc: str = ""  # folder or hub id of a trained CPC; empty: the model's own
    cpc_scale: float = 1.0  # strength of the control
    decoder: Literal["auto", "wan", "lr"] = "auto"  # auto: the LR-conditioned decoder if the model has one
    prompt: str = ""  # what the video shows
    prompt_file: str = ""  # JSON lines {"file": NAME, "prompt": TEXT}, for several inputs
    negative_prompt: str = ""  # read with --guidance other than 1
    prompt_embeds: str = ""  # safetensors file with cached prompt embeddings, in place of --prompt
    empty_prompt_embeds: str = ""  # the same of the empty prompt, where no text encoder is to be loaded
    steps: int = 0  # sampling steps; 0: what the CPC was trained for
    shift: float = 0.0  # above 1: moves sampling towards high noise levels; 0: what the CPC was trained for
    guidance: float = 1.0  # classifier-free guidance; 1: off
    sampler: Literal["auto", "euler", "unipc"] = "auto"  # auto: what the CPC was trained for
    seed: int = 0
    device: str = "auto"  # auto: cuda if there is one, else cpu
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    offload: bool = False  # weights wait in main memory, layer by layer: for GPUs that the model does not fit
    fp8: bool = False  # weights are kept in 8 bits: half the memory, nearly the same result
    attention: str = ""  # diffusers' backend of attention, such as flash or sage; empty: torch's choice
    compile: bool = False  # torch.compile: faster after minutes of compiling
    tile_height: int = 0  # pixels, a multiple of 16; 0: what the model was made for
    tile_width: int = 0
    tile_overlap: int = 32  # pixels that tiles share at least
    segment_frames: int = 0  # frames processed at a time, 4 n + 1; 0: what the model was made for
    segment_overlap: int = 5  # frames that segments share, 4 n + 1
    codec: Literal["auto", "h264", "h265", "av1", "ffv1", "prores", "png"] = "auto"  # auto: h264; h265 above 8 bits
    depth: int = 0  # bits of a colour; 0: those of the input, where the codec has them
    crf: int = -1  # quality of h264, h265 and av1, lower is better; -1: 16, 18, 24
    drop_alpha: bool = False  # leave transparency out
    deinterlace: Deinterlace = "no"  # frame: a frame of each pair of fields; field: one of each, at twice the rate
    strict: bool = False  # decode all of the input first, and refuse it if anything in it is damaged
    color_fix: Literal["none", "wavelet", "adain"] = "none"  # give the result the input's colours
    compare: str = ""  # also write this video: bicubic on the left half, the result on the right
    preview: bool = False  # only one segment, from the middle
    restart: bool = False  # begin anew, whatever is finished
    dry_run: bool = False  # print the plan, time one tile, and stop

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: got {self.seed}, wanted 0 to {2**31 - 1}")
        for name in (
            "steps",
            "shift",
            "tile_height",
            "tile_width",
            "tile_overlap",
            "segment_frames",
            "segment_overlap",
        ):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')}: got {getattr(self, name)}, wanted 0 or more")
        require(self.crf >= -1, "--crf", self.crf, "-1 or more")
        require(not (self.preview and self.compare), "--preview and --compare", "both", "one")
        target_size(self.target, 2, 2, even=False)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise InputError(f"--device: got {self.device!r}, wanted auto, cpu, cuda, cuda:N or mps")
        if self.prompt and self.prompt_embeds:
            raise InputError("--prompt and --prompt-embeds: got both, wanted one")
        for name in ("prompt_embeds", "empty_prompt_embeds", "prompt_file"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise InputError(f"--{name.replace('_', '-')} {file}: nothing there; wanted a file")


def upscale(config: UpscaleConfig) -> list[Path]:
    """Upscale as ``config`` says; returns the files written.

    Of several inputs a bad one does not stop the rest.

    Raises:
        InputError: something given cannot be used, or some of several inputs failed.
    """
    if not config.input:
        return [path for path in [upscale_sample(config)] if path]
    paths = without_own(config, find_inputs(config.input))
    prompts = read_prompts(config.prompt_file)
    if unnamed := [path.name for path in paths if prompts and path.name not in prompts]:
        logger.warning("%s names %d of %d inputs, not %s", config.prompt_file, len(paths) - len(unnamed), len(paths),
                       ", ".join(unnamed[:3]) + ", ..." * (len(unnamed) > 3))  # fmt: skip
    outputs = output_names(config, paths)
    check_names(config, paths, outputs)
    if len(paths) == 1:
        written = upscale_file(replace(config, prompt=prompts.get(paths[0].name, config.prompt)), paths[0], outputs[0])
        return [written] if written else []
    for folder in {output.parent for output in outputs if not config.dry_run}:
        check_folder(folder)
    written, failed, began = [], [], time.monotonic()
    for number, (path, output) in enumerate(zip(paths, outputs, strict=True), start=1):
        logger.info("%d of %d: %s", number, len(paths), path)
        try:
            own = replace(config, prompt=prompts.get(path.name, config.prompt))
            written += [file for file in [upscale_file(own, path, output)] if file]
        except (InputError, OSError, MemoryError, RuntimeError) as error:
            failed.append(path)
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning("%s: left out: %s", path, reason.removeprefix(f"{path}: "))
    logger.info("%d of %d done in %.0f s", len(paths) - len(failed), len(paths), time.monotonic() - began)
    if failed:
        raise InputError(f"{len(failed)} of {len(paths)} inputs failed: {', '.join(map(str, failed))}; the messages above "
                         "say why, and the same command passes over what is done")  # fmt: skip
    return written


def upscale_sample(config: UpscaleConfig) -> Path | None:
    """Render the sample clip, 960x540, 17 frames at 25 a second, say so, and upscale it."""
    (output,) = output_names(config, [SAMPLE])
    check_names(config, [SAMPLE], [output])
    make_plan(config, SAMPLE_LOOK, output)
    for file in (SAMPLE, output):
        check_output(file)

    from realis.video.photographs import sample_clip

    with SegmentWriter(SAMPLE, SAMPLE_LOOK.size, Fraction(25), Encoding(crf=20)) as sink:
        sink.write(0, (to_uint8(frame) for frame in sample_clip()))
    logger.info("no --input given: rendered the sample clip %s from photographs that scikit-image carries", SAMPLE)
    return upscale_file(config, SAMPLE, output)
