"""Stage ``quality``: measure a clip on a few pairs of neighbouring frames, and drop it if a score is out of its limits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.damage import unreadable
from realis.builder.fake_4k import TILE, measure_spectrum
from realis.builder.ledger import MEASURED
from realis.core.errors import InputError, require
from realis.video.excerpt import read_facts
from realis.video.read import VideoReader

BLACK = 16  # mean luma of 255 below which a frame is black, if no pixel is brighter than twice that
BAR = 8  # luma of 255 up to which a border is a bar: less than most night skies have
CLIPPED = (2, 253)  # luma up to and from which a pixel is clipped
STILL = 0.1  # mean difference in levels below which a frame repeats the one before it: noise alone differs more
FLOW_LINES = 180  # height of the frames on which motion is measured
BLOCK = 8  # of JPEG, MPEG-2, MPEG-4 and the largest transform of H.264


@dataclass(frozen=True)
class QualityConfig:
    """Limits of the scores of a clip. Luma is that of 8 bits; ``dataset_tools/build_realisvideo.py --calibrate`` sets the
    limits by footage of one's own."""

    samples: Annotated[int, MEASURED] = 5  # pairs of neighbouring frames that are looked at, spread over the clip
    min_sharpness: float = 3.0  # spread of the Laplacian in the sharpest tenth of the picture, in levels of 255
    min_brightness: float = 0.06  # mean luma, 0 to 1
    max_brightness: float = 0.92  # mean luma, 0 to 1
    max_clipped: float = 0.25  # share of pixels that are black or white without any drawing
    min_motion: float = 0.005  # mean optical flow in picture heights a second: below it only noise moves
    max_motion: float = 1.0  # the same: above it all is smeared
    max_frozen: float = 0.3  # share of frames that repeat the one before them
    max_black: float = 0.0  # share of frames that are black
    max_blockiness: float = 1.4  # steps on the 8x8 grid of a codec over steps beside it; 1: no blocks
    max_bars: float = 0.01  # share of the picture in black bars at its borders
    max_fake_4k: float = 2.0  # log-odds that it was enlarged from fewer lines; 0: as likely as not
    min_contrast: float = 12.0  # dB of detail above noise below which fake_4k is not decided and the clip stays

    def __post_init__(self) -> None:
        require(self.samples >= 1, "--quality.samples", self.samples, "1 or more")
        for name in ("min_brightness", "max_brightness", "max_clipped", "max_frozen", "max_black", "max_bars"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"--quality.{name.replace('_', '-')}", value, "0 to 1")
        for name in ("min_sharpness", "min_motion", "min_contrast", "max_blockiness"):
            value = getattr(self, name)
            require(value >= 0, f"--quality.{name.replace('_', '-')}", value, "0 or more")
        require(not math.isnan(self.max_fake_4k), "--quality.max-fake-4k", self.max_fake_4k, "a number")
        for name in ("brightness", "motion"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            require(low < high, f"--quality.min-{name}", low, f"less than --quality.max-{name} {high}")


@dataclass(frozen=True)
class Limit:
    """A limit on a score, and why a clip outside of it is dropped.

    Args:
        score: a name in :attr:`Clip.scores`.
        field: of :class:`QualityConfig`, ``min_...`` or ``max_...``.
        reason: of a dropped clip.
        fault: the score measures a defect: calibration may loosen its limit, but never tighten it.
    """

    score: str
    field: str
    reason: str
    fault: bool = False

    def holds(self, scores: dict[str, float], config: QualityConfig) -> bool:
        """Return whether ``scores`` are within the limit; a score that was not measured is."""
        if self.score not in scores:
            return True
        value, limit = scores[self.score], getattr(config, self.field)
        return value >= limit if self.field.startswith("min_") else value <= limit


LIMITS = (  # in this order: a clip is dropped for the first that does not hold
    Limit("black", "max_black", "black frames", fault=True),
    Limit("bars", "max_bars", "black bars", fault=True),
    Limit("frozen", "max_frozen", "frozen frames", fault=True),
    Limit("brightness", "min_brightness", "too dark"),
    Limit("brightness", "max_brightness", "too bright"),
    Limit("clipped", "max_clipped", "clipped", fault=True),
    Limit("motion", "min_motion", "static"),
    Limit("motion", "max_motion", "too much motion"),
    Limit("blockiness", "max_blockiness", "blocks", fault=True),
    Limit("sharpness", "min_sharpness", "not sharp"),
    Limit("fake_4k", "max_fake_4k", "fake 4K", fault=True),
)


class NotFiniteError(InputError):
    """A score is not a finite number: no limit would mean anything for it."""


def scores(clip: Clip, build: Path, samples: int) -> Iterator[Outcome]:
    """Add the scores of a clip, measured on ``samples`` pairs of neighbouring frames."""
    try:
        yield replace(clip, scores=measure_scores(clip.path(build), samples, clip.frames, threads=1))
    except NotFiniteError as error:
        yield Dropped(clip.name, "scores are no numbers", str(error))
    except InputError as error:
        yield unreadable(clip, build, "cannot be read", error)


def quality(clip: Clip, build: Path, config: QualityConfig) -> Iterator[Outcome]:
    """Keep a clip whose scores are within all limits."""
    known = drop_unclear(clip.scores, config)
    for limit in LIMITS:
        if not limit.holds(known, config):
            side = "at least" if limit.field.startswith("min_") else "at most"
            wanted = f"{limit.score} {known[limit.score]:.4g}, wanted {side} {getattr(config, limit.field):.4g}"
            yield Dropped(clip.name, limit.reason, wanted, known)
            return
    yield replace(clip, scores=known)


def drop_unclear(scores: dict[str, float], config: QualityConfig) -> dict[str, float]:
    """Return ``scores`` without ``fake_4k`` where there is too little detail above the noise to decide it."""
    unclear = scores.get("contrast", 0.0) < config.min_contrast
    return {name: score for name, score in scores.items() if not (name == "fake_4k" and unclear)}


def measure_scores(path: Path, samples: int, frames: int = 0, threads: int = 0) -> dict[str, float]:
    """Measure all scores of a video; without ``fake_4k`` and ``contrast`` where the picture is too small for them.

    Args:
        path: of the video.
        samples: number of pairs of neighbouring frames that are measured.
        frames: its number of frames; 0: as its packets say.
        threads: of the decoder; 0: one a core.

    Raises:
        NotFiniteError: a score is not a finite number.
        InputError: it is not a video, is damaged, or has fewer than two frames.
    """
    pairs, rate = read_pairs(path, frames or read_facts(path).frames, samples, threads)
    picture = inside_bars([frame for pair in pairs for frame in pair])
    inner = [(before[picture], after[picture]) for before, after in pairs]
    firsts = [before for before, _ in inner]
    scores = {
        "black": float(np.mean([before.max() < 2 * BLACK and before.mean() < BLACK for before, _ in pairs])),
        "bars": 1 - firsts[0].size / pairs[0][0].size,
        "frozen": float(np.mean([cv2.absdiff(*pair).mean() < STILL for pair in inner])),
        "brightness": float(np.mean([frame.mean() for frame in firsts])) / 255,
        "clipped": float(np.mean([clipped_share(frame) for frame in firsts])),
        "motion": float(np.median([flow_length(*pair) for pair in inner])) * rate,
        "blockiness": float(np.median([blockiness(before) for before, _ in pairs])),
        "sharpness": float(np.median([sharpness(frame) for frame in firsts])),
    }
    if min(firsts[0].shape) >= TILE:
        spectrum = measure_spectrum(firsts)
        scores |= {"contrast": spectrum.contrast, "fake_4k": spectrum.score}
    for name, value in scores.items():
        if not math.isfinite(value):
            raise NotFiniteError(f"{path}: its {name} is {value}, which is not a finite number")
    return {name: round(value, 6) for name, value in scores.items()}


Pair = tuple[np.ndarray, np.ndarray]


def read_pairs(path: Path, frames: int, samples: int, threads: int = 0) -> tuple[list[Pair], float]:
    """Read luma (H, W) uint8 of up to ``samples`` pairs of neighbouring frames, spread evenly over ``frames``; also return
    the frame rate.

    Raises:
        InputError: as :func:`measure_scores`.
    """
    wanted = set(np.linspace(0, max(frames - 2, 0), samples).round().astype(int).tolist())
    pairs: list[Pair] = []
    before = None
    with VideoReader(path, threads) as video:
        for number, frame in enumerate(video.frames()):
            if number not in wanted and number - 1 not in wanted:
                continue
            luma = cv2.cvtColor(video.rgb(frame), cv2.COLOR_RGB2GRAY)
            if number - 1 in wanted and before is not None:
                pairs.append((before, luma))
            before = luma
        if not pairs:
            raise InputError(f"{path}: has fewer than two frames; wanted a clip")
        return pairs, float(video.rate)


def inside_bars(frames: list[np.ndarray]) -> tuple[slice, slice]:
    """Return the rows and columns within the black bars that all ``frames`` (H, W) have; everything if they are black."""
    most = np.max(frames, axis=0)
    found = []
    for axis in (1, 0):
        # 95 % of a line must be dark, not all: codecs ring from the edge into the bar, and a logo may be in it.
        drawn = np.flatnonzero(np.percentile(most, 95, axis=axis) > BAR)
        found.append(slice(int(drawn[0]), int(drawn[-1]) + 1) if len(drawn) else slice(None))
    return found[0], found[1]


def clipped_share(frame: np.ndarray) -> float:
    """Return the share of clipped pixels of luma ``frame`` (H, W) uint8."""
    return float(((frame <= CLIPPED[0]) | (frame >= CLIPPED[1])).mean())


def flow_length(before: np.ndarray, after: np.ndarray) -> float:
    """Return the mean length of the optical flow between two frames (H, W) uint8, in picture heights; on copies reduced to
    180 lines, so that grain does not count."""
    height = min(FLOW_LINES, before.shape[0])
    width = max(round(before.shape[1] * height / before.shape[0]), 16)
    small = [cv2.resize(frame, (width, max(height, 16)), interpolation=cv2.INTER_AREA) for frame in (before, after)]
    flow = cv2.calcOpticalFlowFarneback(*small, None, 0.5, 4, 15, 3, 5, 1.2, 0)  # pyright: ignore
    return float(np.linalg.norm(flow, axis=2).mean()) / height


def blockiness(frame: np.ndarray) -> float:
    """Return the ratio of steps between neighbouring pixels across the borders of 8x8 blocks to those elsewhere, mean of both
    axes; 1 without blocks, and for a constant frame (H, W) uint8."""
    ratios = []
    for image in (frame, frame.T):
        steps = cv2.absdiff(image[:, 1:], image[:, :-1]).mean(axis=0)
        border = np.arange(1, image.shape[1]) % BLOCK == 0
        ratios.append((steps[border].mean() + 1e-3) / (steps[~border].mean() + 1e-3))
    return float(np.mean(ratios))


def sharpness(frame: np.ndarray) -> float:
    """Return the standard deviation of the Laplacian in levels, in the 90th percentile of tiles of 64 pixels of luma ``frame``
    (Pech-Pacheco et al. 2000, by tiles, so that a background out of focus does not count)."""
    squares = np.square(cv2.Laplacian(frame, cv2.CV_32F))  # its mean is 0
    rows, columns = (max(size // TILE, 1) for size in frame.shape)
    tiles = cv2.resize(squares, (columns, rows), interpolation=cv2.INTER_AREA)
    return float(np.sqrt(np.percentile(tiles, 90)))
