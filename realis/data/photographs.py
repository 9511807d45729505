"""Clips rendered from the photographs that scikit-image carries: training material and the sample video.

A photograph is filmed by a virtual camera: a window that pans and zooms over it with sub-pixel precision, properly
low-passed when it shrinks. Parallax comes from a second layer that moves at its own speed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from PIL import Image, ImageDraw

from realis.ops.filters import gaussian_blur
from realis.ops.resize import sampling_matrix

# Shown by the sample and therefore never trained on.
SAMPLE_PHOTOGRAPHS = ("hubble_deep_field.jpg", "coffee.png")
# name: weight in training. The Middlebury motorcycle pair is left out: its licence is not clear.
TRAINING_PHOTOGRAPHS = {
    "astronaut.png": 3.0, "chelsea.png": 3.0, "rocket.jpg": 2.5, "ihc.png": 1.0, "retina.jpg": 0.7,
    "camera.png": 2.0, "brick.png": 1.0, "grass.png": 1.0, "gravel.png": 1.0, "coins.png": 1.0, "page.png": 0.7,
    "text.png": 0.7, "moon.png": 0.3,
}  # fmt: skip


@dataclass(frozen=True)
class CameraMove:
    """Where a window looks: its centre (y, x) in pixels of the photograph and its zoom, at both ends of a clip.

    ``zoom`` is photograph pixels per output pixel: 1 is native scale, 2 shows twice as much at half the size.
    """

    start: tuple[float, float]
    stop: tuple[float, float]
    zoom_start: float = 1.0
    zoom_stop: float = 1.0

    def at(self, t: float) -> tuple[float, float, float]:
        """Centre y, centre x and zoom at ``t`` in [0, 1]."""
        y, x = ((1 - t) * a + t * b for a, b in zip(self.start, self.stop, strict=True))
        return y, x, (1 - t) * self.zoom_start + t * self.zoom_stop


@lru_cache(maxsize=32)
def photograph(name: str) -> torch.Tensor:
    """Return one of scikit-image's photographs, (3, H, W) float32 in [0, 1]; a grey one three times."""
    with Image.open(str(files("skimage.data") / name)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def film(image: torch.Tensor, move: CameraMove, frames: int, size: tuple[int, int]) -> torch.Tensor:
    """Film ``image`` (C, H, W) along ``move``: (frames, C, height, width). Beyond its border the image is extended."""
    clip = []
    for i in range(frames):
        y, x, zoom = move.at(i / max(frames - 1, 1))
        vertical = sampling_matrix(image.shape[1], _centres(y, zoom, size[0], image.shape[1]), zoom)
        horizontal = sampling_matrix(image.shape[2], _centres(x, zoom, size[1], image.shape[2]), zoom)
        clip.append(vertical @ image @ horizontal.T)
    return torch.stack(clip).clamp(0, 1)


def _centres(centre: float, zoom: float, outputs: int, pixels: int) -> torch.Tensor:
    """Positions of ``outputs`` samples around ``centre``, kept inside the photograph."""
    return (centre + zoom * (torch.arange(outputs, dtype=torch.float64) - (outputs - 1) / 2)).clamp(0.5, pixels - 0.5)


def training_clip(
    rng: np.random.Generator, frames: int, size: int, photographs: Mapping[str, float] = TRAINING_PHOTOGRAPHS
) -> torch.Tensor:
    """Render a random moving clip (frames, 3, size, size) float32 in [0, 1].

    Three quarters show one of the ``photographs``, by weight, one quarter a procedural texture; a third have a second layer in front that
    moves differently (parallax), one in ten has a hard cut. Motion goes from none to a third of the clip a frame, so
    that a model learns when not to trust the frames beside. Colours, contrast and orientation vary.
    """
    clip = _filmed_at_random(rng, frames, size, photographs)
    if frames > 1 and rng.random() < 0.1:
        cut = int(rng.integers(1, frames))
        clip = torch.cat([clip[:cut], _filmed_at_random(rng, frames, size, photographs)[cut:]])
    if rng.random() < 0.33:
        mask = _blob(rng, size)
        clip = mask * _filmed_at_random(rng, frames, size, photographs) + (1 - mask) * clip
    if rng.random() < 0.5:
        clip = clip.flip(-1)
    if rng.random() < 0.5:
        clip = clip.transpose(-1, -2)
    clip = clip[:, rng.permutation(3).tolist()] if rng.random() < 0.3 else clip
    if rng.random() < 0.5:
        clip = (clip - 0.5) * rng.uniform(0.6, 1.1) + 0.5 + rng.uniform(-0.1, 0.1)
    return clip.clamp(0, 1)


def _filmed_at_random(
    rng: np.random.Generator, frames: int, size: int, photographs: Mapping[str, float]
) -> torch.Tensor:
    image = dead_leaves(rng, 3 * size) if rng.random() < 0.25 else _random_photograph(rng, photographs)
    largest = min(image.shape[1:]) / size
    zoom = min(rng.choice([0.6, 1.0, 1.0, 1.33, 1.67, 2.0, 2.5]), largest)
    zoom_stop = float(np.clip(zoom * rng.uniform(0.95, 1.05), 0.6, largest)) if rng.random() < 0.4 else zoom
    travel = rng.choice([0, 0.5, 1, 2, 4, 8, 16, 32]) * zoom * max(frames - 1, 1)
    angle = rng.uniform(0, 2 * np.pi)
    start, stop = [], []
    for pixels, direction in zip(image.shape[1:], (np.sin(angle), np.cos(angle)), strict=True):
        margin = max(zoom, zoom_stop) * size / 2  # the window stays inside the photograph
        room = max(pixels - 2 * margin, 0)
        step = float(np.clip(travel * direction, -room, room))
        start.append(margin + rng.uniform(max(-step, 0), room - max(step, 0)))
        stop.append(start[-1] + step)
    return film(image, CameraMove(tuple(start), tuple(stop), zoom, zoom_stop), frames, (size, size))


def _random_photograph(rng: np.random.Generator, photographs: Mapping[str, float]) -> torch.Tensor:
    names, weights = zip(*photographs.items(), strict=True)
    return photograph(str(rng.choice(names, p=np.array(weights) / sum(weights))))


def dead_leaves(rng: np.random.Generator, size: int) -> torch.Tensor:
    """Draw a dead-leaves texture (3, size, size): overlapping shapes of power-law size, with edges of every scale."""
    image = Image.new("RGB", (size, size), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(60, 400))):
        radius = 1.5 * rng.uniform(0.05, 1.0) ** -1.3
        y, x = rng.uniform(0, size, 2)
        points = rng.integers(3, 9)
        angles = np.sort(rng.uniform(0, 2 * np.pi, points))
        outline = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
        draw.polygon(outline, fill=tuple(rng.integers(0, 256, 3).tolist()))
    texture = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    grain = gaussian_blur(rng.normal(size=(size, size, 1)).astype(np.float32), float(rng.uniform(0.4, 1.5)))
    return (texture + rng.uniform(0, 0.15) * torch.from_numpy(grain[None, ..., 0])).clamp(0, 1)


def _blob(rng: np.random.Generator, size: int) -> torch.Tensor:
    """Draw a soft mask (1, 1, size, size) of one random half or disc."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size),) * 2, indexing="ij")
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4)
    half_plane = x * np.cos(angle) + y * np.sin(angle) - offset
    disc = rng.uniform(0.4, 0.9) - (x**2 + y**2).sqrt()
    edge = half_plane if rng.random() < 0.5 else disc
    return (0.5 + edge * size / 3).clamp(0, 1)[None, None].float()


def sample_clip(frames: int = 17, size: tuple[int, int] = (540, 960)) -> Iterator[torch.Tensor]:
    """Yield the sample video, frame by frame: (3, height, width) float32 in [0, 1].

    Both photographs are shown at native scale: the coffee cup in front of the deep field, each panning at its own
    speed.
    """
    back, front = (photograph(name) for name in SAMPLE_PHOTOGRAPHS)
    top, left = (size[0] - front.shape[1]) // 2, (size[1] - front.shape[2]) // 2
    backdrop = film(back, CameraMove((430.0, 484.0), (442.0, 516.0)), frames, size)
    drift = film(_on_canvas(front, size, top, left), CameraMove((272.0, 500.0), (266.0, 460.0)), frames, size)
    mask = film(
        _on_canvas(torch.ones_like(front), size, top, left), CameraMove((272.0, 500.0), (266.0, 460.0)), frames, size
    )
    yield from (mask * drift + (1 - mask) * backdrop).clamp(0, 1)


def _on_canvas(image: torch.Tensor, size: tuple[int, int], top: int, left: int) -> torch.Tensor:
    canvas = torch.zeros(image.shape[0], *size)
    canvas[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return canvas
