"""Damaged files: is the answer always one line, soon, with nothing half-made under a final name?

    python benchmarks/malformed.py [--count 200] [--seed 0]

Small files of every container that is read are cut short or have bits flipped, and are given to ``realis upscale
--method bicubic``, each in a process of its own. Counts what happened; exit code 1 if a run hung, crashed, showed a
traceback, or failed and left something.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from attempts import attempt
from command_line import count, parser_of
from PIL import Image

CONTAINERS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx265", ".webm": "libvpx-vp9", ".avi": "mpeg4",
              ".ts": "mpeg2video", ".mpg": "mpeg2video", ".flv": "libx264"}  # fmt: skip
IMAGES = (".png", ".jpg", ".gif", ".webp", ".tif", ".bmp")
FLIPS = 20  # bits at most


def make_files(folder: Path) -> list[Path]:
    """One small file of each kind."""
    rng = np.random.default_rng(0)
    images = [np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(12)]
    for ending, codec in CONTAINERS.items():
        with av.open(str(folder / f"in{ending}"), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            if codec == "libx265":
                stream.codec_context.options = {"x265-params": "log-level=none"}
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    for ending in IMAGES:
        Image.fromarray(images[0]).save(folder / f"in{ending}")
    return sorted(folder.iterdir())


def damaged(files: list[Path], count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """(ending, what was done, content), ``count`` times."""
    rng = random.Random(seed)
    for i in range(count):
        file = files[i % len(files)]
        content = bytearray(file.read_bytes())
        if rng.random() < 0.5:
            stay = rng.randrange(len(content))
            yield file.suffix, f"cut to {stay / len(content):.0%}", bytes(content[:stay])
            continue
        flips = rng.randint(1, FLIPS)
        for _ in range(flips):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield file.suffix, f"{flips} bits flipped", bytes(content)


def judge(folder: Path, ending: str, content: bytes) -> str:
    """What became of one file: ``done``, ``refused``, or what is wrong."""
    file = folder / f"in{ending}"
    output = folder / f"out{'.png' if ending in IMAGES and ending != '.gif' else '.mp4'}"
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    file.write_bytes(content)
    words = ["--input", str(file), "--output", str(output), "--target", "2x", "--method", "bicubic"]
    return attempt(words, lambda: [path.name for path in folder.iterdir() if path.name.startswith("out")])


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=count, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        for i, (ending, what, content) in enumerate(damaged(make_files(whole), args.count, args.seed)):
            folder = Path(name) / f"{i}"
            folder.mkdir()
            verdict = judge(folder, ending, content)
            if verdict not in ("done", "refused"):
                print(f"{i} {ending}, {what}: {verdict}", flush=True)
            counts[verdict.split()[0]] += 1
    print(", ".join(f"{kind}: {count}" for kind, count in counts.items()))
    raise SystemExit(bool(set(counts) - {"done", "refused"}))


if __name__ == "__main__":
    main()
