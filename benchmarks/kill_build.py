"""Kill the dataset builder at random moments, let it go on, and compare what it ends with: the same to the last byte?

    python benchmarks/kill_build.py [--moments 20] [--seed 0]

Five videos of 96x64 go through every stage, undisturbed once. Then, for each moment, the same command is killed by
SIGKILL, with its worker processes, and given again. Half of the moments are file operations of the main process in the
build's folder, before they are carried out. All files of the folder are compared, down to those that say what each
stage did. Prints one line a moment; exit code 1 if any result differs.
"""

import json
import os
import signal
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from command_line import count, parser_of

from realis.builder.build import build
from realis.builder.config import STAGES, BuildConfig
from realis.core.config import parse
from realis.data.lr_sets.record import RECORD
from realis.video.encoding import Encoding
from realis.video.write import SegmentWriter

SIZE, FRAMES, OUTPUT = (64, 96), 12, "the_set"
SHOTS = {"cat": ["chelsea.png"], "man": ["camera.png"], "woman": ["astronaut.png"], "coins": ["coins.png"],
         "two": ["brick.png", "gravel.png"]}  # fmt: skip
SMALL = ["--probe.lines", "64", "--scenes.least", "6", "--scenes.most", "12", "--duplicates.distance", "0",
         "--split.test", "300", "--quality.max-motion", "9", "--captions.by", "given", "--review.auto-accept",
         "--publish.lr", "bi", "--workers", "2"]  # fmt: skip


def make_footage(folder: Path) -> Path:
    """Pans over photographs, one with a cut, and a list that says what they show."""
    folder.mkdir()
    rows = []
    for name, pictures in SHOTS.items():
        with SegmentWriter(folder / f"{name}.mp4", SIZE, Fraction(24), Encoding(crf=8)) as sink:
            sink.write(0, [image for picture in pictures for image in pan(picture)])
        rows.append({"file_name": f"{name}.mp4", "caption": f"A detailed close-up: {name}.", "licence": "CC0"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def pan(picture: str) -> list[np.ndarray]:
    """A window that moves over a photograph, (H, W, 3) uint8 a frame."""
    from realis.data.photographs import photograph  # with torch, which the workers, who import this file, do without
    from realis.ops.pixels import planes_to_image, to_uint8

    image = planes_to_image(to_uint8(photograph(picture)))
    return [np.ascontiguousarray(image[100 + 2 * i :, 120 + 3 * i :][: SIZE[0], : SIZE[1]]) for i in range(FRAMES)]


def run(footage: Path, folder: Path) -> None:
    """Build ``OUTPUT`` in ``folder``, from within: the settings that are noted are the same whichever it is."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    build(parse(BuildConfig, ["--source", str(footage), "--output", OUTPUT, *SMALL], "build_realisvideo.py"))


def die_together() -> None:
    """Make this process and those that it will start a group that is killed as soon as this one is gone."""
    os.setpgid(0, 0)
    end, held = os.pipe()  # held, until it is gone, by nobody but this process
    if os.fork() == 0:
        os.close(held)
        os.read(end, 1)
        os.killpg(0, signal.SIGKILL)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a build, hidden ones included, but its lock and what says when files were written."""
    root = folder / OUTPUT
    files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    return {name: content for name, content in files.items() if name != "work/lock" and Path(name).name != RECORD}


def differences(whole: Path, other: Path) -> list[str]:
    """Files that are not in both, or not the same byte by byte."""
    one, two = contents(whole), contents(other)
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def left(folder: Path) -> str:
    """The last stage that has noted something."""
    begun = [stage for stage in STAGES if any((folder / OUTPUT / "work").glob(f"{stage}.jsonl"))]
    return begun[-1] if begun else "nothing"


def main() -> None:
    import kills  # with torch too

    parser = parser_of(__doc__)
    parser.add_argument("--moments", type=count, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        footage = make_footage(Path(name) / "footage")

        def run_in_group(folder: Path) -> None:
            die_together()
            run(footage, folder)

        failed = kills.try_moments(run_in_group, Path(name), (OUTPUT,), args.moments, args.seed, differences, left)
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
