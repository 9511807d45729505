"""Tell an upscale from what a camera resolved, by the spectrum of luma: pure functions over frames.

Behind a lens, a sensor and a codec, detail fades evenly into noise: the more it stands above the noise, the further it
reaches towards Nyquist. In an upscale from fewer lines it ends early whatever the contrast, or it rises again above the
Nyquist frequency of the source: these are the spectral images that no real filter suppresses, and that sharpening lifts.
"""

from dataclasses import dataclass

import cv2
import numpy as np

TILE = 64
TILES = 16  # of a frame: its most detailed ones, so that a background out of focus does not count
SHARE = 8  # but no more than one in so many
FLOOR = 12.0  # dB above its floor, below which a spectrum is taken for noise
FINE = 2.0**-10  # power that no 8-bit frame is below, other than one without any noise at all
MOST_IMAGES = 4.0  # dB: more says nothing more
LOW, MIDDLE, HIGH = 4, slice(5, 9), slice(16, None)  # in 1 / TILE cycles a pixel
# Fitted by benchmarks/fake_4k.py --fit on modelled optics (lens x aperture x noise x CRF) and planted upscales: score
# 0 is as likely the one as the other.
REACH, CONTRAST, IMAGES, OFFSET = -33.8, 0.351, 4.198, 6.344


@dataclass(frozen=True)
class Spectrum:
    """What the spectrum of the most detailed parts of some frames shows.

    Args:
        reach: the frequency at which detail ends in noise, as a share of Nyquist.
        contrast: coarse detail above the floor of the spectrum, in dB.
        images: by how much the spectrum rises again, in dB.
    """

    reach: float
    contrast: float
    images: float

    @property
    def score(self) -> float:
        """Log-odds of an upscale against a camera, if both are as frequent: above 0 an upscale."""
        images = min(self.images, MOST_IMAGES)
        return OFFSET + REACH * self.reach + CONTRAST * self.contrast + IMAGES * images


def measure_spectrum(frames: list[np.ndarray]) -> Spectrum:
    """Measure the spectrum of ``frames`` (H, W) uint8 luma of one clip, each side at least 64 pixels.

    Each axis is judged by itself, as motion blur empties one and an anamorphic upscale has two factors; what counts is
    the better axis.

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(128, 20, (128, 128)).astype(np.float32)
    >>> soft = cv2.resize(noise[:64, :64], (128, 128), interpolation=cv2.INTER_CUBIC)
    >>> measure_spectrum([soft.astype(np.uint8)]).reach < 0.8
    True
    """
    power = np.mean([tile_power(tile) for frame in frames for tile in detailed_tiles(frame)], axis=0)
    reaches, contrasts, images = zip(*(_axis(profile) for profile in profiles(power)), strict=True)
    return Spectrum(float(max(reaches)), float(max(contrasts)), float(min(images)))


def detailed_tiles(frame: np.ndarray) -> list[np.ndarray]:
    """Return the tiles (64, 64) float32 of ``frame`` (H, W) with most detail at middle frequencies, which upscales have too."""
    frame = frame.astype(np.float32)
    band = cv2.GaussianBlur(frame, (0, 0), 0.8) - cv2.GaussianBlur(frame, (0, 0), 2.0)
    detail = cv2.boxFilter(band * band, -1, (TILE, TILE), anchor=(0, 0))
    rows, columns = (range(0, size - TILE + 1, TILE // 2) for size in frame.shape)
    places = sorted(((y, x) for y in rows for x in columns), key=lambda place: -detail[place])
    kept = places[: min(TILES, max(len(places) // SHARE, 1))]
    return [frame[y : y + TILE, x : x + TILE] for y, x in kept]


def tile_power(tile: np.ndarray) -> np.ndarray:
    """Return the power spectrum (64, 64) of a tile (64, 64) under a Hann window; white noise of variance v has v everywhere."""
    hann = np.hanning(TILE + 2)[1:-1]
    window = np.outer(hann, hann)
    window /= np.sqrt(np.square(window).sum())
    return np.square(np.abs(np.fft.fft2((tile - tile.mean()) * window)))


def profiles(power: np.ndarray) -> list[np.ndarray]:
    """Return two profiles of mean power (33,) in dB by frequency: where the horizontal frequency is the larger one, and where
    the vertical one is. Not radial, as the spectrum of an upscale ends on a square, not on a circle.
    """
    vertical, horizontal = np.abs(np.meshgrid(*(np.fft.fftfreq(TILE, 1 / TILE),) * 2, indexing="ij"))
    found = []
    for along, across in ((horizontal, vertical), (vertical, horizontal)):
        inside = along >= across
        ring = along[inside].astype(int)
        mean = np.bincount(ring, power[inside]) / np.bincount(ring)
        level = 10 * np.log10(mean + FINE)
        found.append(np.convolve(np.pad(level, 1, mode="edge"), (0.25, 0.5, 0.25), "valid"))
    return found


def _axis(level: np.ndarray) -> tuple[float, float, float]:
    """Return reach, contrast and images of one profile (33,) in dB."""
    floor = level[HIGH].min()
    detail = level[LOW:]
    rise = detail[:-2] - np.minimum.accumulate(detail[:-2])
    return _reach(level, floor + FLOOR), level[MIDDLE].mean() - floor, rise.max()


def _reach(level: np.ndarray, end: float) -> float:
    """Return where ``level`` first falls below ``end``, interpolated between the samples, as a share of Nyquist."""
    below = np.flatnonzero(level[LOW:] < end)
    if not len(below):
        return 1.0
    i = int(below[0]) + LOW
    part = 0.0 if level[i - 1] <= end else (level[i - 1] - end) / (level[i - 1] - level[i])
    return (i - 1 + part) / (TILE // 2)
