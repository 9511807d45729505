"""The configuration of ``upscale``: the flags that are the same for every method, and those of the method."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Literal

from realis.core.config import RUN, key_fields
from realis.core.errors import InputError, require
from realis.upscaler import Needs, Options
from realis.video.deinterlace import Deinterlace
from realis.video.span import Span, parse_span
from realis.video.target import target_size

# Marks flags that only matter to networks: a result of a method with neither weights nor noise does not depend on them.
NETWORK = "of networks, or what they are told"


@dataclass(frozen=True)
class UpscaleConfig(Generic[Options]):
    """Upscale videos and images, into out/ unless --output says otherwise.

    Without an input, a sample clip is rendered and upscaled.

      upscale.py holiday.mp4 --target 4k
      upscale.py holiday.mp4 --dry-run      (the plan, and how long it would take)
      upscale.py clips/*.mp4 --target 2x --output upscaled
    """

    POSITIONAL: ClassVar = "input"

    # in the order in which --help shows them: what most people need first
    input: Annotated[tuple[str, ...], RUN] = ()  # videos, images, folders of either, patterns; the flag may be left out
    # .mp4, .mkv, .mov, .png; a folder for several or for images; empty: out/NAME_TARGET.mp4
    output: Annotated[str, RUN] = ""
    target: str = "4k"  # 8k, 4k, 1080p, 720p, a factor such as 2x or 4x, or WIDTHxHEIGHT
    # upscale from here on: seconds (90.5), 1:30 or 1:02:03.5; empty: from the beginning
    start: Annotated[str, RUN] = ""
    duration: Annotated[str, RUN] = ""  # how much, written as --start is; empty: to the end
    method: str = field(kw_only=True)  # one of those named above
    preview: Annotated[bool, RUN] = False  # a few frames from the middle, to look at before all of the work
    dry_run: Annotated[bool, RUN] = False  # print the plan, time one tile, and stop
    compare: Annotated[str, RUN] = ""  # also write this video: bicubic on the left half, the result on the right
    restart: Annotated[bool, RUN] = False  # begin anew, whatever is finished
    codec: Literal["auto", "h264", "h265", "av1", "ffv1", "prores", "png"] = "auto"  # auto: h264; h265 above 8 bits
    crf: int = -1  # quality of h264, h265 and av1, lower is better; -1: 16, 18, 24
    depth: int = 0  # bits of a colour; 0: those of the input, where the codec has them
    color_fix: Literal["none", "wavelet", "adain"] = "none"  # give the result the input's colours
    # how much of the result is taken over the resized input, 0 to 1; auto: what the model is best at
    strength: Annotated[float | Literal["auto"], NETWORK] = "auto"
    deinterlace: Deinterlace = "no"  # frame: a frame of each pair of fields; field: one of each, at twice the rate
    # let segments go on across scene cuts, as if the video were one shot
    across_cuts: Annotated[bool, NETWORK] = False
    drop_alpha: bool = False  # leave transparency out
    strict: Annotated[bool, RUN] = False  # decode all of the input first, and refuse it if anything in it is damaged
    prompt: Annotated[str, NETWORK] = ""  # what the video shows
    prompt_file: Annotated[str, RUN] = ""  # JSON lines {"file": NAME, "prompt": TEXT}, for several inputs
    device: Annotated[str, RUN] = "auto"  # auto: cuda if there is one, else cpu
    # weights wait in main memory, layer by layer: for GPUs that the model does not fit
    offload: Annotated[bool, RUN] = False
    fp8: Annotated[bool, NETWORK] = False  # weights are kept in 8 bits: half the memory, nearly the same result
    # of the model; float32 takes twice the memory
    dtype: Annotated[Literal["bfloat16", "float32"], NETWORK] = "bfloat16"
    compile: Annotated[bool, NETWORK] = False  # torch.compile: faster after minutes of compiling
    # diffusers' backend of attention, such as flash or sage; empty: torch's choice
    attention: Annotated[str, NETWORK] = ""
    seed: Annotated[int, NETWORK] = 0  # of the noise; the same seed gives the same result
    options: Options = field(kw_only=True)  # of the method

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: got {self.seed}, wanted 0 to {2**31 - 1}")
        require(self.crf >= -1, "--crf", self.crf, "-1 or more")
        require(self.strength == "auto" or 0 <= self.strength <= 1, "--strength", self.strength, "0 to 1, or auto")
        target_size(self.target, 2, 2, even=False)
        parse_span(self.start, self.duration)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise InputError(f"--device: got {self.device!r}, wanted auto, cpu, cuda, cuda:N or mps")
        if self.prompt_file and not Path(self.prompt_file).is_file():
            raise InputError(f"--prompt-file {self.prompt_file}: nothing there; wanted a file")

    @property
    def span(self) -> Span:
        """The part of the video that --start and --duration select."""
        return parse_span(self.start, self.duration)

    @property
    def prefix(self) -> str:
        """The prefix of the method's flags, with its dot; empty where they have none."""
        return self.options.PREFIX and f"{self.options.PREFIX}."

    def strength_for(self, needs: Needs) -> float:
        """Return how much of the method's result is taken, 0 to 1; all of one without weights, which is the resized input."""
        return self.strength if needs.is_network and self.strength != "auto" else needs.strength

    def settings(self, needs: Needs) -> dict:
        """Return the settings that a result depends on, as plain values; where a choice is left to the method (``steps`` of 0),
        the value that it chose."""
        without = (RUN,) if needs.is_network else (RUN, NETWORK)
        across_cuts = self.across_cuts and not needs.segments.independent
        chosen = replace(self, strength=self.strength_for(needs), across_cuts=across_cuts)
        own = {**key_fields(self.options, without), **needs.settings}
        return {**key_fields(chosen, without), **{self.prefix + name: value for name, value in own.items()}}
