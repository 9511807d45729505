"""What the benchmarks of quality share: clips that nothing was trained on, pinned degradations, figures of merit."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import cv2  # isort: skip
import numpy as np
import piq
import torch
from skimage.metrics import structural_similarity

from realis.data.photographs import SAMPLE_PHOTOGRAPHS, CameraMove, film, photograph
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Resize
from realis.degradation.presets import load_degradation
from realis.degradation.second_order import degrade
from realis.models.wan.geometry import FRAMES
from realis.ops.resize import resize
from realis.video.names import VIDEOS, files_in
from realis.video.read import VideoReader

FACTOR = 4
LARGEST = (720, 1280)  # larger videos are shrunk to fit
LEAST_LINES = 360  # smaller videos make no ground truth
LEAST_FRAMES = 5  # of a clip: a pulse of 4 frames after the first
Source = tuple[str, Callable[[], torch.Tensor]]  # what a clip is called, and how to get it
METRICS = ("PSNR", "SSIM", "GMSD", "HaarPSI")


def held_out(frames: int) -> list[Source]:
    """The photographs that no part was trained on, filmed at rest, slowly and fast: (frames, 3, 192, 256)."""
    return [
        (f"{Path(name).stem}, {speed} pixels a frame", partial(_filmed, name, speed, frames))
        for name in SAMPLE_PHOTOGRAPHS
        for speed in (0.0, 1.3, 5.7)
    ]


def _filmed(name: str, speed: float, frames: int) -> torch.Tensor:
    image = photograph(name)
    y, x, reach = image.shape[1] / 2, image.shape[2] / 2, speed * (frames - 1) / 2
    move = CameraMove((y - 0.6 * reach, x - 0.8 * reach), (y + 0.6 * reach, x + 0.8 * reach))
    return film(image, move, frames, (192, 256))


def videos(folder: Path, frames: int) -> list[Source]:
    """The first ``4 n + 1`` frames of every video of 360 lines and 5 frames or more, shrunk to at most 1280x720 and cut
    to a multiple of 4, (F, 3, H, W) in [0, 1]."""
    found = []
    for path in files_in(folder, VIDEOS):
        with VideoReader(path) as video:
            enough = len(list(itertools.islice(video.frames(), LEAST_FRAMES))) == LEAST_FRAMES
            if enough and min(video.height, video.width) >= LEAST_LINES:
                found.append((path.stem, partial(_read, path, frames)))
    return found


def _read(path: Path, frames: int) -> torch.Tensor:
    with VideoReader(path) as video:
        scale = min(1.0, *(most / got for most, got in zip(LARGEST, (video.height, video.width), strict=True)))
        size = (round(video.height * scale), round(video.width * scale))
        images = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in video)
        clip = torch.cat([resize(image, size).clamp(0, 1) for image in itertools.islice(images, frames)])
    return clip[: (len(clip) - 1) // FRAMES * FRAMES + 1, :, : size[0] // 4 * 4, : size[1] // 4 * 4]


def plain(hr: torch.Tensor, blur: float, noise: int, quality: int) -> torch.Tensor:
    """A quarter of the size: Gaussian blur (sigma in pixels of ``hr``), bicubic, noise (of 255), JPEG."""
    frames, size = len(hr), tuple(hr.shape[2:])
    small = (size[0] // FACTOR, size[1] // FACTOR)
    operations: list = [Resize("matlab_bicubic", (small,) * frames)]
    if blur:
        kernel = Blur("iso", 15, ((blur, blur),) * frames, (0.0,) * frames)
        rest = [Noise("gaussian", (noise / 255,) * frames, False, 7), Jpeg((quality,) * frames)]
        operations = [kernel, *operations, *rest]
    return degrade(hr, DegradationParameters(frames, size, small, False, tuple(operations)))


def drawn(hr: torch.Tensor, preset: str, seed: int) -> torch.Tensor:
    """A quarter of the size, by a draw of a preset."""
    size = (hr.shape[2], hr.shape[3])
    parameters = load_degradation(preset).sample(np.random.default_rng(seed), len(hr), size, FACTOR)
    return degrade(hr, parameters)


CASES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clean": partial(plain, blur=0, noise=0, quality=0),
    "mild": partial(plain, blur=0.8, noise=4, quality=85),
    "mid": partial(plain, blur=1.2, noise=6, quality=75),
    "strong": partial(plain, blur=2.3, noise=14, quality=48),
} | {f"realbasicvsr {seed}": partial(drawn, preset="realbasicvsr", seed=seed) for seed in range(4)}


def scores(restored: torch.Tensor, hr: torch.Tensor) -> dict[str, float]:
    """Means over frames of PSNR (dB), SSIM (Gaussian window, sigma 1.5, as Wang et al. 2004), GMSD (lower is better)
    and HaarPSI, RGB, float32, no border cut."""
    ssim = partial(structural_similarity, channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5,
                   use_sample_covariance=False)  # fmt: skip
    return {
        "PSNR": float(frame_psnr(restored, hr).mean()),
        "SSIM": float(np.mean([ssim(a, b) for a, b in zip(restored.numpy(), hr.numpy(), strict=True)])),
        "GMSD": float(piq.gmsd(restored, hr)),
        "HaarPSI": float(piq.haarpsi(restored, hr)),
    }


def frame_psnr(restored: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    """PSNR in dB of each frame."""
    return -10 * torch.log10((restored - hr).square().mean(dim=(1, 2, 3)))


Motion = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def motion(hr: torch.Tensor) -> Motion:
    """For each frame but the last: where its pixels are in the next one (x, y; Farneback), and which of them are seen
    there, where the flow and the flow back agree as Lai et al. (2018) ask."""
    grey = [(frame.mean(0) * 255).byte().numpy() for frame in hr]
    y, x = np.mgrid[: hr.shape[2], : hr.shape[3]].astype(np.float32)
    found = []
    for pair in itertools.pairwise(grey):
        there, back = (
            cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 4, 15, 3, 5, 1.2, 0)  # pyright: ignore
            for a, b in (pair, pair[::-1])
        )
        at = (x + there[..., 0], y + there[..., 1])
        back = cv2.remap(back, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        apart, length = ((there + back) ** 2).sum(-1), (there**2).sum(-1) + (back**2).sum(-1)
        inside = (at[0] >= 0) & (at[0] <= x.max()) & (at[1] >= 0) & (at[1] <= y.max())
        found.append((*at, inside & (apart < 0.01 * length + 0.5)))
    return found


def warping_error(video: torch.Tensor, motion: Motion) -> float:
    """Mean squared difference between each frame and the next one brought back to it, times 1000 (E_warp). Frames that
    have nothing in common with the next one, as at a cut, are left out."""
    images = [frame.permute(1, 2, 0).numpy() for frame in video]
    errors = [
        np.square(cv2.remap(after, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) - before)[seen].mean()
        for (before, after), (x, y, seen) in zip(itertools.pairwise(images), motion, strict=True)
        if seen.any()
    ]
    return 1000 * float(np.mean(errors))


def pulse(gain: torch.Tensor, period: int = 4) -> tuple[float, float]:
    """Amplitude in dB of a frame-by-frame gain at ``period`` frames, and the median of its other frequencies.

    The first frame, which a latent frame covers alone, and a linear trend are left out.
    """
    n = (len(gain) - 1) // period * period
    t, y = np.arange(n), gain[1 : n + 1].double().numpy()
    spectrum = 2 / n * np.abs(np.fft.rfft(y - np.polyval(np.polyfit(t, y, 1), t)))
    return float(spectrum[n // period]), float(np.median(np.delete(spectrum, [0, n // period])))
