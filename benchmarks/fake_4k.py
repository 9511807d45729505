"""How often the detector of upscaled 4K errs, on modelled cameras and on planted upscales.

    python benchmarks/fake_4k.py [--clips 1200] [--threshold 2] [--fit] [--videos FOLDER]

A camera: a scene of at least twice the resolution (photographs of scikit-image and dead leaves) through a lens
(Gaussian) and an aperture (diffraction), sampled, with shot and read noise, sharpened or not as cameras do, moving.
An upscale: the same with 1.5, 2 or 3 times fewer lines, compressed or not, enlarged, sharpened, with grain. All of it
then compressed by H.264 or H.265. Every draw is as likely as any other: the rates are those of the mix that is printed.

``--fit`` fits the weights of realis/builder/fake_4k.py on other photographs and other draws than the table is made of.
``--videos`` says what the detector thinks of the videos in a folder, cut down to native crops of 512 pixels as well.
"""

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from command_line import count, parser_of
from PIL import Image

from realis.builder.fake_4k import MOST_IMAGES, Spectrum, measure_spectrum
from realis.builder.quality import QualityConfig
from realis.data.photographs import CameraMove, dead_leaves, film, photograph
from realis.video.sequences import find_sequences

FITTED = ("astronaut.png", "camera.png", "brick.png", "grass.png", "gravel.png", "rocket.jpg")
HELD_OUT = ("chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "coins.png")
DEAD_LEAVES = 0.35  # share of scenes
SIZE = (256, 320)
FRAMES = 4
CONTRAST = QualityConfig().min_contrast  # dB below which the stage does not decide
KERNELS = {
    "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC,
    "bicubic, Pillow": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip


@dataclass(frozen=True)
class Plant:
    """How a clip is made. Lengths in pixels and noise in 8-bit levels, of the camera's own frames."""

    photographs: tuple[str, ...]
    seed: int
    lens: float  # standard deviation of its blur
    aperture: float  # frequency where diffraction ends all, in cycles a pixel: 0.5 is Nyquist
    noise: float  # standard deviation at middle grey
    camera_sharpening: float
    speed: float
    codec: str
    crf: int
    scale: float = 1.0  # of the upscale
    first_crf: int = 0  # of what is upscaled; 0: not compressed
    kernel: str = ""
    sharpening: float = 0.0
    grain: float = 0.0

    @property
    def fake(self) -> bool:
        return self.scale > 1


def draw(seed: int, photographs: tuple[str, ...]) -> Plant:
    """Every third a camera, the others upscales."""
    rng = np.random.default_rng(seed)

    def one(*values):
        return values[rng.integers(len(values))]

    plant = {
        "lens": one(0.25, 0.4, 0.55, 0.7, 0.9),
        "aperture": one(0.5, 0.75, 1.0, 2.0),
        "noise": one(0.0, 0.5, 1.0, 2.0, 4.0),
        "camera_sharpening": one(0.0, 0.0, 0.5, 1.0),
        "speed": one(0.0, 0.3, 1.3, 5.0),
        "codec": one("libx264", "libx265"),
        "crf": one(10, 16, 22, 28),
    }
    if seed % 3:
        plant |= {
            "scale": one(1.5, 2.0, 3.0), "first_crf": one(0, 18, 23), "kernel": one(*KERNELS),
            "sharpening": one(0.0, 0.0, 0.5, 1.5), "grain": one(0.0, 0.0, 1.0, 3.0),
        }  # fmt: skip
    return Plant(photographs, seed, **plant)


def make(plant: Plant) -> list[np.ndarray]:
    """The frames (H, W) uint8 luma that a decoder gives."""
    rng = np.random.default_rng((plant.seed, 1))
    light = scene(rng, plant.photographs)
    size = tuple(int(min(most, (n - 8) / 2) // 8 * 8) for most, n in zip(SIZE, light.shape, strict=True))
    small = tuple(round(n / plant.scale) for n in size)
    frames = shoot(plant, light, small, rng)
    if plant.fake:
        if plant.first_crf:
            frames = compress(frames, "libx264", plant.first_crf)
        frames = [enlarge(frame, size, plant.kernel) for frame in frames]
        frames = [sharpen(frame, plant.sharpening, 1.2) for frame in frames]
        frames = [frame + plant.grain * rng.standard_normal(frame.shape, np.float32) for frame in frames]
    return compress(frames, plant.codec, plant.crf)


def scene(rng: np.random.Generator, photographs: tuple[str, ...]) -> np.ndarray:
    """Luma (H, W) in 8-bit levels."""
    image = dead_leaves(rng, 1024) if rng.random() < DEAD_LEAVES else photograph(str(rng.choice(photographs)))
    return np.tensordot(np.float32([0.2126, 0.7152, 0.0722]), image.numpy() * 255, 1)


def shoot(plant: Plant, light: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> list[np.ndarray]:
    """What a camera of ``size`` sees of ``light``, panning; a pixel of it is 2 of the scene, or more for an upscale."""
    pitch = 2 * plant.scale
    image = torch.from_numpy(optics(light, plant.lens * pitch, plant.aperture / pitch))[None]
    angle, reach = rng.uniform(0, 2 * np.pi), plant.speed * 2 * (FRAMES - 1) / 2
    y, x = light.shape[0] / 2, light.shape[1] / 2
    dy, dx = np.sin(angle) * reach, np.cos(angle) * reach
    move = CameraMove((y - dy, x - dx), (y + dy, x + dx), pitch, pitch)
    frames = film(image / 255, move, FRAMES, size)[:, 0].numpy() * 255
    noise = plant.noise * np.sqrt(0.3 + 0.7 * frames / 128) * rng.standard_normal(frames.shape, np.float32)
    return [sharpen(frame, plant.camera_sharpening, 1.0) for frame in frames + noise]


def optics(light: np.ndarray, lens: float, aperture: float) -> np.ndarray:
    """``light`` through a lens and a round aperture: both by their modulation transfer functions."""
    frequency = np.hypot(np.fft.fftfreq(light.shape[0])[:, None], np.fft.rfftfreq(light.shape[1])[None])
    x = np.minimum(frequency / aperture, 1)
    diffraction = 2 / np.pi * (np.arccos(x) - x * np.sqrt(1 - x * x))
    blur = np.exp(-2 * (np.pi * lens * frequency) ** 2)
    return np.fft.irfft2(np.fft.rfft2(light) * blur * diffraction, s=light.shape).astype(np.float32)


def sharpen(frame: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    """Unsharp masking."""
    return np.clip(frame + amount * (frame - cv2.GaussianBlur(frame, (0, 0), sigma)), 0, 255)


def enlarge(frame: np.ndarray, size: tuple[int, int], kernel: str) -> np.ndarray:
    """``frame`` (h, w) float32 at ``size``."""
    filter = KERNELS[kernel]
    if isinstance(filter, Image.Resampling):
        return np.asarray(Image.fromarray(frame).resize(size[::-1], filter))
    return cv2.resize(frame, size[::-1], interpolation=filter)


def compress(frames: list[np.ndarray], codec: str, crf: int) -> list[np.ndarray]:
    """Encode and decode; float32, an odd row or column is lost."""
    height, width = (n // 2 * 2 for n in frames[0].shape)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        options = {"crf": str(crf), "preset": "veryfast"}
        if codec == "libx265":
            options["x265-params"] = "log-level=none:pools=none:frame-threads=1"
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            image = np.clip(frame[:height, :width].round(), 0, 255).astype(np.uint8)
            rgb = av.VideoFrame.from_ndarray(np.repeat(image[..., None], 3, axis=2), format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in decoded]


def judged(plant: Plant) -> Spectrum:
    return measure_spectrum([frame.astype(np.uint8) for frame in make(plant)[::2]])


def sound(plant: Plant) -> bool:
    """Not one of the footage that nobody would want as ground truth."""
    return plant.lens < 0.8 and plant.aperture > 0.6 and plant.noise < 3 and plant.crf < 28


def fit(plants: list[Plant], spectra: list[Spectrum]) -> None:
    """Logistic regression of fake or not on reach, contrast and images; cameras and upscales weigh the same."""
    from scipy.optimize import minimize

    used = [i for i, plant in enumerate(plants) if plant.fake or sound(plant)]
    x = np.array([[spectra[i].reach, spectra[i].contrast, min(spectra[i].images, MOST_IMAGES), 1] for i in used])
    sign = np.array([1 if plants[i].fake else -1 for i in used])
    weight = np.where(sign > 0, 0.5 / (sign > 0).mean(), 0.5 / (sign < 0).mean())

    def loss(w: np.ndarray) -> float:
        return float((weight * np.logaddexp(0, -sign * (x @ (w * [10, 0.1, 1, 1])))).mean())

    w = minimize(loss, np.zeros(4)).x * [10, 0.1, 1, 1]
    print(f"REACH, CONTRAST, IMAGES, OFFSET = {', '.join(f'{value:.3f}' for value in w)}")


Row = tuple[str, Callable[[Plant], bool]]


def rows(fake: bool) -> list[Row]:
    """What the table tells apart."""
    shared: list[Row] = [
        *((f"CRF {crf}", lambda p, crf=crf: p.crf == crf) for crf in (10, 16, 22, 28)),
        *((codec, lambda p, codec=codec: p.codec == codec) for codec in ("libx264", "libx265")),
        *((f"noise {n:g}", lambda p, n=n: p.noise == n) for n in (0, 0.5, 1, 2, 4)),
        *((f"lens {n:g}", lambda p, n=n: p.lens == n) for n in (0.25, 0.4, 0.55, 0.7, 0.9)),
        *((f"aperture {n:g}", lambda p, n=n: p.aperture == n) for n in (0.5, 0.75, 1, 2)),
        ("sound: lens < 0.8, aperture > 0.6, noise < 3, CRF < 28", sound),
    ]
    if not fake:
        return [("all", lambda p: True), *shared]
    kernels: list[Row] = [(kernel, lambda p, kernel=kernel: p.kernel == kernel) for kernel in KERNELS]
    return [
        ("all", lambda p: True),
        *kernels,
        *((f"x {s:g}", lambda p, s=s: p.scale == s) for s in (1.5, 2, 3)),
        *((f"sharpened by {s:g}", lambda p, s=s: p.sharpening == s) for s in (0, 0.5, 1.5)),
        *((f"grain {s:g}", lambda p, s=s: p.grain == s) for s in (0, 1, 3)),
        *shared,
    ]


def print_table(plants: list[Plant], spectra: list[Spectrum], threshold: float) -> None:
    """False rejects among cameras, false accepts among upscales."""
    for fake, heading in ((False, "cameras: dropped by mistake"), (True, "upscales: not found")):
        print(f"\n{heading:58s} {'rate':>6s} {'clips':>6s}")
        for name, belongs in rows(fake):
            wrong = [
                (s.contrast >= CONTRAST and s.score > threshold) != fake
                for p, s in zip(plants, spectra, strict=True)
                if p.fake == fake and belongs(p)
            ]
            print(f"{name:58s} {np.mean(wrong):6.1%} {len(wrong):6d}")


def print_videos(folder: Path) -> None:
    """Scores of whole frames, and of the native crop in the middle."""
    for clip in find_sequences(folder):
        frames = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in itertools.islice(clip.frames(), 0, 49, 12)]
        y, x = (max(n // 2 - 256, 0) for n in frames[0].shape)
        for name, part in (("whole", frames), ("crop", [frame[y : y + 512, x : x + 512] for frame in frames])):
            s = measure_spectrum(part)
            print(
                f"{clip.name}, {name}: score {s.score:.2f}, reach {s.reach:.2f}, contrast {s.contrast:.1f} dB, "
                f"images {s.images:.1f} dB"
            )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=count, default=1200)
    parser.add_argument("--threshold", type=float, default=QualityConfig().max_fake_4k)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--videos", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if a.videos:
        print_videos(a.videos)
        return
    seeds = range(10**6, 10**6 + a.clips) if a.fit else range(a.clips)
    plants = [draw(seed, FITTED if a.fit else HELD_OUT) for seed in seeds]
    spectra = [judged(plant) for plant in plants]
    if a.fit:
        fit(plants, spectra)
    print_table(plants, spectra, a.threshold)


if __name__ == "__main__":
    main()
