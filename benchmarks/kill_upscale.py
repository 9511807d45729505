"""Kill an upscaling at random moments, let it go on, and compare what it ends with: the same to the last byte?

    python benchmarks/kill_upscale.py [--moments 50] [--seed 0]

A clip of 29 frames of 64x48 with sound is upscaled by realis-tiny in seven segments, undisturbed once. Then, for each
moment, the same command is killed by SIGKILL and given again. Half of the moments are file operations in the folder of
the result, before they are carried out. Prints one line a moment; exit code 1 if any result differs.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import kills
import numpy as np
import torch
from command_line import count, parser_of

from realis.commands.__main__ import run_upscale
from realis.data.photographs import training_clip
from realis.ops.pixels import planes_to_image, to_uint8

SMALL = ["--target", "2x", "--segment-frames", "5", "--segment-overlap", "1", "--tile-height", "64", "--tile-width",
         "64", "--tile-overlap", "16", "--color-fix", "adain"]  # fmt: skip
WATCHED = ("/out.mp4", "/.out.mp4")


def make_clip(file: Path, frames: int = 29) -> Path:
    """A film of photographs with a tone."""
    images = training_clip(np.random.default_rng(0), frames, 64)[:, :, :48]
    with av.open(str(file), "w") as container:
        video, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        for image in images:
            frame = av.VideoFrame.from_ndarray(planes_to_image(to_uint8(image)), format="rgb24")
            container.mux(video.encode(frame))
        for i in range(frames * 48000 // 25 // 1024):
            wave = 0.1 * np.sin(0.05 * np.arange(1024 * i, 1024 * (i + 1)))
            frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * i
            container.mux(sound.encode(frame))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return file


def differences(whole: Path, other: Path) -> list[str]:
    """The result, if it is not the same byte by byte; what was left beside it."""
    changed = ["out.mp4"] if (whole / "out.mp4").read_bytes() != (other / "out.mp4").read_bytes() else []
    return changed + [path.name for path in other.glob(".*")]


def left(output: Path) -> str:
    """How far the killed run had come."""
    if (output / "out.mp4").exists():
        return "the result"
    return f"{len(list(output.glob('.out.mp4.parts/*.video')))} segments"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--moments", type=count, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        clip = make_clip(Path(name) / "in.mp4")
        failed = kills.try_moments(
            lambda output: run_upscale(["--input", str(clip), "--output", str(output / "out.mp4"), *SMALL]),
            Path(name), WATCHED, args.moments, args.seed, differences, left,
        )  # fmt: skip
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
