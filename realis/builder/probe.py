"""Stage ``probe``: read format and length of each video; keep licensed, progressive SDR of 2160 lines, also upright."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.damage import unreadable
from realis.builder.ledger import MEASURED
from realis.core.errors import InputError, require
from realis.video.excerpt import read_facts
from realis.video.fingerprint import fingerprint
from realis.video.source import VideoSource

TOLERANCE = 1.1  # footage with more than this many times the lines is another class of resolution


@dataclass(frozen=True)
class ProbeConfig:
    """What footage is taken."""

    lines: Annotated[int, MEASURED] = 2160  # pixels of the shorter side, at least, and at most a tenth more
    least_rate: Annotated[float, MEASURED] = 20.0  # frames a second; what is slower is a time lapse or a slide show
    unlicensed: bool = False  # take footage of which no licence is named, too: for what is not passed on

    def __post_init__(self) -> None:
        require(self.lines >= 32, "--probe.lines", self.lines, "32 or more")
        require(0 < self.least_rate <= 1000, "--probe.least-rate", self.least_rate, "above 0, up to 1000")


def keep_licensed(video: Clip, build: Path, config: ProbeConfig) -> Iterator[Outcome]:
    """Drop a video without a licence. Of others, clear what the list says of them, so that correcting the list does not make
    the next stages cut and measure again; :func:`add_list_columns` adds it later."""
    if video.licence or config.unlicensed:
        yield replace(video, licence="", origin="", caption="")
    else:
        yield Dropped(video.name, "no licence named", video.video)


def add_list_columns(clips: list[Clip], footage: list[Clip]) -> list[Clip]:
    """Add licence, origin and caption of the ``footage`` to the ``clips`` that were cut from it."""
    listed = {video.video: (video.licence, video.origin, video.caption) for video in footage}
    added = []
    for clip in clips:
        licence, origin, caption = listed[clip.video]
        added.append(replace(clip, licence=licence, origin=origin, caption=caption))
    return added


def probe(video: Clip, build: Path, config: ProbeConfig) -> Iterator[Outcome]:
    """Read size, frame rate, number of frames and digest of a video; drop it where it cannot be read or is not wanted."""
    path = video.path(build)
    try:
        facts = read_facts(path)
        with VideoSource(path) as source:
            video_format, rate, interlaced = source.format, source.rate, source.interlaced
    except InputError as error:
        yield unreadable(video, build, "cannot be read", error)
        return
    height, width = video_format.size
    reason = rejection_reason(
        min(height, width), video_format.aspect == 1, video_format.color.hdr, interlaced, float(rate), config
    )
    if reason:
        yield Dropped(video.name, reason, f"{width}x{height}, {float(rate):.3f} frames a second")
        return
    yield replace(video, height=height, width=width, rate=rate, frames=facts.frames, digest=fingerprint(path))


def rejection_reason(side: int, square: bool, hdr: str, interlaced: bool, rate: float, config: ProbeConfig) -> str:
    """Return why footage with these properties is not taken; empty if it is."""
    if side < config.lines:
        return f"fewer than {config.lines} lines"
    if side > TOLERANCE * config.lines:
        return f"more than {config.lines} lines"
    if not square:
        return "pixels are not square"
    if hdr:
        return f"HDR ({hdr})"
    if interlaced:
        return "interlaced"
    return f"fewer than {config.least_rate:g} frames a second" if rate < config.least_rate else ""
