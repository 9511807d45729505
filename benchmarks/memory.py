"""Does the memory of an upscaling grow with the length of the video?

    python benchmarks/memory.py [--frames 50 200 500] [--method bicubic cpc]

For each length a clip of 160x96 is upscaled to 640x384 in a process of its own; prints the largest resident size and
the slope from the shortest to the longest. One frame of the result is 3 MB in floats: anything that is kept would show.
Exit code 1 if a slope is above 0.1 MB a frame.
"""

import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from command_line import count, parser_of

from realis.methods import METHODS
from realis.video.encoding import Encoding
from realis.video.write import SegmentWriter

SCRIPT = Path(__file__).parent.parent / "infer" / "upscale.py"
LIMIT = 0.1  # MB a frame
APART = 350  # frames between the shortest and the longest: from run to run the largest size varies by up to 35 MB
SIZE = (96, 160)


def make_clip(file: Path, frames: int) -> Path:
    """Blocks of colour that move."""
    blocks = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3)).astype(np.uint8)
    texture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    with SegmentWriter(file, SIZE, Fraction(25), Encoding(crf=10)) as sink:
        for start in range(0, frames, 50):
            sink.write(start, (np.roll(texture, i, axis=1) for i in range(start, min(start + 50, frames))))
    return file


def peak(clip: Path, method: str) -> float:
    """Largest resident size of the command, MB."""
    output = clip.with_name(f"{clip.stem}_{method}_out.mp4")
    words = [sys.executable, SCRIPT, "--input", clip, "--output", output, "--target", "4x", "--method", method]
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{method} ended with {os.waitstatus_to_exitcode(status)}"
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=count, nargs="+", default=[50, 200, 500])
    parser.add_argument("--method", nargs="+", choices=list(METHODS), default=["bicubic", "cpc"])
    args = parser.parse_args()
    if max(args.frames) - min(args.frames) < APART:
        parser.error(f"--frames: got {args.frames}, wanted lengths that are {APART} frames apart or more")
    slopes = []
    with tempfile.TemporaryDirectory() as name:
        clips = {frames: make_clip(Path(name) / f"{frames}.mp4", frames) for frames in sorted(args.frames)}
        for method in args.method:
            peaks = {frames: peak(clip, method) for frames, clip in clips.items()}
            shortest, longest = min(peaks), max(peaks)
            slopes.append((peaks[longest] - peaks[shortest]) / (longest - shortest))
            sizes = ", ".join(f"{frames} frames {size:.0f} MB" for frames, size in peaks.items())
            print(f"{method}: {sizes}; {slopes[-1]:+.3f} MB a frame", flush=True)
    raise SystemExit(max(slopes) > LIMIT)


if __name__ == "__main__":
    main()
