"""Trials of upscaling methods: the exact video, killed runs that go on, flat memory, bad weights in one line.

    python benchmarks/conformance.py [--methods bicubic cpc] [--moments 20] [--lengths 130 480] [-- --NAME.flag VALUE]

Every method of the registry is tried unless ``--methods`` names some. What follows ``--`` is given to ``realis upscale``
with each of them that has these flags, such as the file of its weights; a method that lacks a file is not tried, and the
line says so. Prints a line for each trial; exit code 1 if any failed.

- exact: results of 1, 2 and 29 frames, of even, odd and very small pictures, at 1, 2 and 3 times their size, have the
  frames and the size that were asked for; made again, and beside another input in one run, they are the same bytes.
- resume: killed by SIGKILL at random moments, half of them before a random file operation in the folder of the result,
  and given again, the same command ends with the same bytes.
- memory: the largest resident size of a process of its own, for videos of many segments at 640x384, one frame of which
  takes 3 MB in floats, grows by at most 0.1 MB a frame from the shortest to the longest.
- bad weights: each file that the method reads its weights from, gone, empty, cut in half, replaced by a text, or by a
  pickle that would run code: one line, exit code 2, nothing left, and no code run.
"""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import kills
import numpy as np
import torch
from attempts import attempt
from command_line import count, parser_of

from realis.commands.__main__ import run_upscale
from realis.core.config import flag_types
from realis.core.errors import InputError
from realis.data.photographs import training_clip
from realis.methods.flags import parse_upscale
from realis.methods.registry import METHODS, find_method
from realis.ops.pixels import planes_to_image, to_uint8
from realis.video.encoding import Encoding
from realis.video.read import VideoReader
from realis.video.target import target_size
from realis.video.write import SegmentWriter

FRAMES = 29
COUNTS = (1, 2, FRAMES)
SIZES = ((48, 64), (47, 33), (5, 8))  # height, width
TARGETS = ("1x", "2x", "3x")
SMALL = {  # flags by which a method cuts 29 frames of 64x48, enlarged twice, into several segments and tiles
    "cpc": ["--segment-frames", "5", "--segment-overlap", "1", "--tile-height", "64", "--tile-width", "64",
            "--tile-overlap", "16", "--steps", "2"],
    "basicvsr": ["--basicvsr.segment-frames", "8", "--basicvsr.segment-overlap", "2", "--basicvsr.tile-height", "96",
                 "--basicvsr.tile-width", "128", "--basicvsr.tile-overlap", "32"],
    "sd_x4": ["--sd-x4.segment-frames", "5", "--sd-x4.tile-height", "64", "--sd-x4.tile-width", "64",
              "--sd-x4.tile-overlap", "16", "--sd-x4.steps", "2", "--sd-x4.batch", "2"],
    "stablevsr": ["--stablevsr.segment-frames", "5", "--stablevsr.tile-height", "64", "--stablevsr.tile-width", "64",
                  "--stablevsr.tile-overlap", "16", "--stablevsr.steps", "2"],
    "dgaf_vsr": ["--dgaf-vsr.segment-frames", "5", "--dgaf-vsr.tile-height", "64", "--dgaf-vsr.tile-width", "64",
                 "--dgaf-vsr.tile-overlap", "16", "--dgaf-vsr.steps", "2", "--dgaf-vsr.batch", "2"],
    "videogigagan": ["--videogigagan.segment-frames", "6", "--videogigagan.segment-overlap", "2",
                     "--videogigagan.chunk-frames", "2", "--videogigagan.tile-height", "96", "--videogigagan.tile-width", "128",
                     "--videogigagan.tile-overlap", "32"],
    "image": ["--image.tile-height", "32", "--image.tile-width", "32", "--image.tile-overlap", "16"],
}  # fmt: skip
WATCHED = ("/out.mp4", "/.out.mp4")
SCRIPT = Path(__file__).parent.parent / "infer" / "upscale.py"
LONG = (96, 160)  # height, width of the videos whose memory is measured
GROWTH = 0.1  # MB a frame
APART = 350  # frames between the shortest and the longest: from run to run the largest size varies by up to 35 MB


@dataclass(frozen=True)
class Subject:
    """A method on trial.

    Args:
        method: its name.
        flags: those of its own that it is given in every trial.
    """

    method: str
    flags: tuple[str, ...] = ()

    def words(self, source: Path, output: Path, target: str = "2x") -> list[str]:
        """The arguments of ``realis upscale``."""
        return ["--input", str(source), "--output", str(output), "--target", target, "--color-fix", "adain",
                "--method", self.method, *SMALL.get(self.method, ()), *self.flags]  # fmt: skip

    def upscale(self, source: Path, output: Path, target: str = "2x") -> None:
        run_upscale(self.words(source, output, target))


def make_clip(file: Path, frames: int = FRAMES, size: tuple[int, int] = SIZES[0], sound: bool = True) -> Path:
    """Photographs that move, in FFV1, with a tone."""
    images = training_clip(np.random.default_rng(0), frames, 64)[:, :, : size[0], : size[1]]
    with av.open(str(file), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.height, video.width = size
        video.pix_fmt, video.codec_context.time_base = "yuv444p", Fraction(1, 25)
        streams = [video]
        if sound:
            streams.append(tone := container.add_stream("aac", rate=48000))
        for image in images:
            frame = av.VideoFrame.from_ndarray(planes_to_image(to_uint8(image)), format="rgb24")
            container.mux(video.encode(frame))
        for i in range(frames * 48000 // 25 // 1024 if sound else 0):
            wave = 0.1 * np.sin(0.05 * np.arange(1024 * i, 1024 * (i + 1)))
            samples = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, 1024 * i
            container.mux(tone.encode(samples))
        for stream in streams:
            container.mux(stream.encode(None))
    return file


# 1. Exact


def inexact(subject: Subject, folder: Path, counts: Sequence[int] = COUNTS, sizes: Sequence[tuple[int, int]] = SIZES,
            targets: Sequence[str] = TARGETS, long: int = FRAMES) -> list[str]:  # fmt: skip
    """What is not as it should be: frames, sizes, or bytes of results that were made again."""
    found = []
    for frames, size, target in ((f, s, t) for f in counts for s in sizes for t in targets):
        name = f"{frames} frames of {size[1]}x{size[0]} at {target}"
        clip = make_clip(folder / f"{frames}_{size[0]}.mkv", frames, size, sound=False)
        output = folder / f"{frames}_{size[0]}_{target}.mkv"
        subject.upscale(clip, output, target)
        with VideoReader(output) as video:
            got = (sum(1 for _ in video), video.height, video.width)
        if got != (wanted := (frames, *target_size(target, size[1], size[0], even=True))):
            found.append(f"{name}: got {got}, wanted {wanted}")

    # Made again, alone and after another input
    clip, other = (make_clip(folder / f"{name}.mkv", frames) for name, frames in (("one", long), ("another", 3)))
    one, again, both = folder / "one.mp4", folder / "again.mp4", folder / "both"
    subject.upscale(clip, one)
    subject.upscale(clip, again)
    run_upscale([*subject.words(other, both), "--input", str(other), str(clip)])
    (beside,) = both.glob("one*.mp4")
    content = one.read_bytes()
    found += [f"made {how}, it has other bytes" for how, file in (("again", again), ("beside another input", beside))
              if file.read_bytes() != content]  # fmt: skip
    return found


# 2. Resume


def differences(whole: Path, other: Path) -> list[str]:
    """The result, if it is not the same byte by byte; what was left beside it."""
    changed = ["out.mp4"] if (whole / "out.mp4").read_bytes() != (other / "out.mp4").read_bytes() else []
    return changed + [path.name for path in other.glob(".*")]


def left(output: Path) -> str:
    """How far the killed run had come."""
    if (output / "out.mp4").exists():
        return "the result"
    return f"{len(list(output.glob('.out.mp4.parts/*.video')))} segments"


def not_resumed(subject: Subject, folder: Path, moments: int, seed: int = 0, frames: int = FRAMES) -> list[str]:
    """Kill a run of several segments at so many moments; which of them do not end with the same bytes."""
    clip = make_clip(folder / "in.mkv", frames)

    def run(output: Path) -> None:
        subject.upscale(clip, output / "out.mp4")

    failed = kills.try_moments(run, folder, WATCHED, moments, seed, differences, left)
    return [f"{failed} of {moments}"] if failed else []


# 3. Memory


def make_long_clip(file: Path, frames: int) -> Path:
    """Blocks of colour that move."""
    blocks = np.random.default_rng(0).integers(0, 256, (LONG[0] // 8, LONG[1] // 8, 3)).astype(np.uint8)
    texture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    with SegmentWriter(file, LONG, Fraction(25), Encoding(crf=10)) as sink:
        for start in range(0, frames, 50):
            sink.write(start, (np.roll(texture, i, axis=1) for i in range(start, min(start + 50, frames))))
    return file


def peak(words: Sequence[str]) -> float:
    """Largest resident size of ``realis upscale`` in a process of its own, MB."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), *words], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"ended with {os.waitstatus_to_exitcode(status)}"
    return usage.ru_maxrss / 1024


def growing(subject: Subject, folder: Path, lengths: Sequence[int], limit: float = GROWTH) -> list[str]:
    """The memory for each length of the video, if it grows by more than ``limit`` MB a frame."""
    peaks = {}
    for frames in sorted(lengths):
        words = ["--input", str(make_long_clip(folder / f"{frames}.mp4", frames)), "--output",
                 str(folder / f"{frames}_out.mp4"), "--target", "4x", "--method", subject.method, *subject.flags]  # fmt: skip
        peaks[frames] = peak(words)
    shortest, longest = min(peaks), max(peaks)
    figures = ", ".join(f"{frames} frames {size:.0f} MB" for frames, size in peaks.items())
    print(f"{subject.method}: {figures}", flush=True)
    return [figures] if peaks[longest] - peaks[shortest] > limit * (longest - shortest) else []


# 4. Bad weights


class Code:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return open, (str(self.file), "w")


def put_code(file: Path, ran: Path) -> None:
    file.write_bytes(pickle.dumps({"params": Code(ran)}))


HARMS: dict[str, Callable[[Path, Path], object]] = {
    "gone": lambda file, ran: file.unlink(),
    "empty": lambda file, ran: file.write_bytes(b""),
    "cut": lambda file, ran: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a text": lambda file, ran: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "code": put_code,
}


def weights_of(subject: Subject) -> dict[str, Path]:
    """The files and folders that a method reads its weights from, by the flag that names each.

    Raises:
        InputError: it lacks one.
    """
    config = parse_upscale(["--method", subject.method, *subject.flags])
    needs = find_method(subject.method).needs(config.options, prompted=False)
    return {f"--{config.prefix}{name.replace('_', '-')}": path for name, path in needs.weights.items()}


def not_refused(subject: Subject, folder: Path, harms: Sequence[str] = tuple(HARMS)) -> list[str]:
    """Which harm to which file is not answered in one line, with nothing done."""
    clip, output, ran, found = make_clip(folder / "in.mkv", 3), folder / "out.mp4", folder / "code_ran", []
    for flag, weights in weights_of(subject).items():
        files = (
            [Path()] if weights.is_file() else [file.relative_to(weights) for file in weights.rglob("*.safetensors")]
        )
        for name, harm in ((name, harm) for name in files for harm in harms):
            copy = folder / "weights" / weights.name
            copy.parent.mkdir()
            if weights.is_file():
                shutil.copyfile(weights, copy)
            else:
                shutil.copytree(weights, copy, copy_function=os.symlink)
                (copy / name).unlink()
                shutil.copyfile(weights / name, copy / name)
            HARMS[harm](copy / name, ran)
            words = [*subject.words(clip, output), flag, str(copy)]
            verdict = attempt(words, lambda: [path.name for path in folder.iterdir() if "out" in path.name])
            if verdict != "refused" or ran.exists():
                found.append(f"{flag} {weights.name / name}, {harm}: {'CODE RAN' if ran.exists() else verdict}")
            shutil.rmtree(folder / "weights")
            ran.unlink(missing_ok=True)
    return found


def flags_for(method: str, words: Sequence[str]) -> tuple[str, ...]:
    """Those of ``words`` that are flags of a method, with their values."""
    prefix = find_method(method).Config.PREFIX
    own = flag_types(find_method(method).Config, f"--{prefix}." if prefix else "--")
    found, taken = [], False
    for word in words:
        taken = word.partition("=")[0] in own if word.startswith("--") else taken
        found += [word] * taken
    return tuple(found)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--moments", type=count, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lengths", type=count, nargs="+", default=[130, 480])
    words = sys.argv[1:]
    own = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:own])
    if max(args.lengths) - min(args.lengths) < APART:
        parser.error(f"--lengths: got {args.lengths}, wanted numbers of frames that are {APART} apart or more")
    torch.set_num_threads(1)
    trials: dict[str, Callable[[Subject, Path], list[str]]] = {
        "exact": inexact,
        "resume": partial(not_resumed, moments=args.moments, seed=args.seed),
        "memory": partial(growing, lengths=args.lengths),
        "bad weights": not_refused,
    }
    failed = False
    for method in args.methods:
        subject = Subject(method, flags_for(method, words[own + 1 :]))
        try:
            weights_of(subject)
        except InputError as error:
            print(f"{method}: not tried: {error}")
            continue
        for name, trial in trials.items():
            with tempfile.TemporaryDirectory() as folder:
                found = trial(subject, Path(folder))
            failed |= bool(found)
            print(f"{method}: {name}: {'; '.join(found) or 'passed'}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
