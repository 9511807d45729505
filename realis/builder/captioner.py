"""The protocol of a captioner: its configuration, the samples that it is shown, the captions that it returns."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

import numpy as np

from realis.core.config import RUN
from realis.core.errors import require

# A model repeats what it is asked about: a word of the keyword lists in here would be in every caption, and select nothing.
PROMPT = (
    "Describe this video in one long paragraph of plain, exact sentences. Begin with how it is framed: how near the camera "
    "is to what it shows, and how it moves. Then describe the subjects and what they do, what each surface is made of and "
    "how finely it is resolved, the surroundings and the light. Quote any words that can be read. If the picture has "
    "flaws, name them. Say only what is visible; do not list what is absent, and do not repeat yourself."
)
LEAST_PIXELS, MOST_PIXELS = 16 * 28 * 28, 768 * 28 * 28  # of a frame; the upper one is Qwen2.5-VL's own


@dataclass(frozen=True)
class CaptionsConfig:
    """Where captions come from."""

    by: Literal["qwen", "endpoint", "given"] = "qwen"  # the model in this process, a server, or the list of the footage
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct"  # a Qwen2.5-VL, folder or hub id; endpoint: its name for the model
    prompt: str = PROMPT  # what the model is asked
    frames: int = 8  # of a clip that are shown, at equal distances in time
    max_pixels: int = MOST_PIXELS  # of such a frame; larger ones are reduced
    max_tokens: int = 512  # of a caption
    batch: Annotated[int, RUN] = 4  # qwen: clips at a time; halved where GPU memory does not do
    device: Annotated[str, RUN] = "auto"  # qwen: cuda if there is one, else cpu; or cpu, cuda, cuda:N
    url: Annotated[str, RUN] = ""  # endpoint: such as http://127.0.0.1:8000/v1
    api_key_file: Annotated[str, RUN] = ""  # endpoint: a file with nothing but the key
    requests: Annotated[int, RUN] = 8  # endpoint: at a time
    timeout: Annotated[float, RUN] = 120.0  # endpoint: seconds for a request
    retries: Annotated[int, RUN] = 6  # endpoint: of a request that failed, at growing intervals
    # endpoint: seconds before the first retry, twice as many before each further one
    retry_wait: Annotated[float, RUN] = 2.0
    budget_requests: Annotated[int, RUN] = 0  # endpoint: stop after so many in this run; 0: no limit
    budget_tokens: Annotated[int, RUN] = 0  # endpoint: stop once it has counted so many in this run; 0: no limit

    def __post_init__(self) -> None:
        for name, least in {"frames": 1, "max_tokens": 1, "batch": 1, "requests": 1, "retries": 0,
                            "budget_requests": 0, "budget_tokens": 0}.items():  # fmt: skip
            got = getattr(self, name)
            require(got >= least, f"--captions.{name.replace('_', '-')}", got, f"{least} or more")
        most = MOST_PIXELS if self.by == "qwen" else 2**24
        fits = LEAST_PIXELS <= self.max_pixels <= most
        require(
            fits, "--captions.max-pixels", self.max_pixels, f"{LEAST_PIXELS} to {most} with --captions.by {self.by}"
        )
        require(0 < self.timeout <= 86400, "--captions.timeout", self.timeout, "seconds, up to a day")
        require(0 <= self.retry_wait <= 3600, "--captions.retry-wait", self.retry_wait, "seconds, up to an hour")
        require(bool(self.model.strip()), "--captions.model", repr(self.model), "a folder or a name")
        require(bool(self.prompt.strip()), "--captions.prompt", repr(self.prompt), "what to ask for")
        device = re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device)
        require(bool(device), "--captions.device", self.device, "auto, cpu, cuda or cuda:N")
        url = self.by != "endpoint" or re.fullmatch(r"https?://[^/\s@]+(/\S*)?", self.url)
        shown = repr(re.sub(r"//.*@", "//***@", self.url))
        require(bool(url), "--captions.url", shown, "http://HOST:PORT/v1 (without a password in it)")


class Sample(NamedTuple):
    """What a captioner is shown of a clip.

    Args:
        frames: (H, W, 3) uint8 RGB, upright.
        rate: how many of these frames there are a second.
    """

    frames: list[np.ndarray]
    rate: float


class Captioner(Protocol):
    """Makes captions.

    Attributes:
        together: clips that it takes at a time.
        calls: that may be under way at a time, from different threads.
    """

    together: int
    calls: int

    def caption(self, samples: list[Sample]) -> list[str]:
        """Return one caption for each sample.

        Raises:
            NoCaption: there is none for this sample, though the captioner works; only where ``together`` is 1.
            InputError: the captioner cannot be used with these settings, or the budget is spent.
            RunError: the endpoint or the machine fails.
        """
        ...

    def stop(self) -> None:
        """Let calls in progress finish, but retry nothing; called from another thread."""
        ...

    def summary(self) -> str:
        """Describe in few words what it has done so far; empty if there is nothing to say."""
        ...


class NoCaption(Exception):  # noqa: N818 - a finding, not an error
    """A clip cannot be captioned: ``args`` are the reason and the detail of its :class:`realis.builder.clip.Dropped`."""
