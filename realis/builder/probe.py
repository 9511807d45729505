"""First stage: what a file is; only real 2160p goes on, whichever way it is held."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.damage import unreadable
from realis.builder.ledger import MEASURED
from realis.core.errors import InputError, require
from realis.video.excerpt import read_facts as packets_of
from realis.video.fingerprint import fingerprint
from realis.video.source import VideoSource

LARGER = 1.1  # from so many times the lines on, it is another class of footage


@dataclass(frozen=True)
class ProbeConfig:
    """What footage is taken."""

    lines: Annotated[int, MEASURED] = 2160  # pixels of the shorter side, at least, and at most a tenth more
    least_rate: Annotated[float, MEASURED] = 20.0  # frames a second; what is slower is a time lapse or a slide show
    unlicensed: bool = False  # take footage of which no licence is named, too: for what is not passed on

    def __post_init__(self) -> None:
        require(self.lines >= 32, "--probe.lines", self.lines, "32 or more")
        require(0 < self.least_rate <= 1000, "--probe.least-rate", self.least_rate, "above 0, up to 1000")


def licensed(video: Clip, build: Path, config: ProbeConfig) -> Iterator[Outcome]:
    """The video without what its list says of it: where that is corrected, nothing has to be cut or measured again.
    Dropped if no licence is named."""
    if video.licence or config.unlicensed:
        yield replace(video, licence="", origin="", caption="")
    else:
        yield Dropped(video.name, "no licence named", video.video)


def as_listed(clips: list[Clip], footage: list[Clip]) -> list[Clip]:
    """``clips`` with what the lists say of the videos that they are of."""
    said = {video.video: video for video in footage}
    return [replace(clip, licence=said[clip.video].licence, origin=said[clip.video].origin, caption=said[clip.video].caption)
            for clip in clips]  # fmt: skip


def probe(video: Clip, build: Path, config: ProbeConfig) -> Iterator[Outcome]:
    """Size, rate, number of frames and digest of a video; dropped where it cannot be read, or is not what is wanted."""
    path = video.path(build)
    try:
        facts = packets_of(path)
        with VideoSource(path) as source:
            video_format, rate, interlaced = source.format, source.rate, source.interlaced
    except InputError as error:
        yield unreadable(video, build, "cannot be read", error)
        return
    height, width = video_format.size
    reason = why_not(
        min(height, width), video_format.aspect == 1, video_format.color.hdr, interlaced, float(rate), config
    )
    if reason:
        yield Dropped(video.name, reason, f"{width}x{height}, {float(rate):.3f} frames a second")
        return
    yield replace(video, height=height, width=width, rate=rate, frames=facts.frames, digest=fingerprint(path))


def why_not(side: int, square: bool, hdr: str, interlaced: bool, rate: float, config: ProbeConfig) -> str:
    """Why footage is not taken; empty if it is."""
    if side < config.lines:
        return f"fewer than {config.lines} lines"
    if side > LARGER * config.lines:
        return f"more than {config.lines} lines"
    if not square:
        return "pixels are not square"
    if hdr:
        return f"HDR ({hdr})"
    if interlaced:
        return "interlaced"
    return f"fewer than {config.least_rate:g} frames a second" if rate < config.least_rate else ""
