"""Scene cuts: what the stream's detector and PySceneDetect's AdaptiveDetector miss and invent, and what they cost.

    python benchmarks/scene_cuts.py clip.mp4 another.mkv [--frames 40]

Needs the extra ``data``, and two clips or more, each of one shot. Pieces of them are put together in random order, and
photographs that scikit-image carries stand beside each other and are filmed by a camera that pans; all of it 160x90.
Prints a line for each kind of material: its cuts and frames, and how many cuts are missed and invented.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of

from realis.core.errors import InputError, run_command
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.ops.pixels import planes_to_image, to_uint8
from realis.ops.resize import resize
from realis.ops.scene_cuts import CutDetector
from realis.upscaling.app.frames import as_tensor
from realis.video.source import open_source

SIZE = (90, 160)  # height, width
PIECES = 15  # of a video that is put together
Detector = Callable[[torch.Tensor], list[int]]
Case = tuple[str, torch.Tensor, list[int]]  # kind of material, frames (F, 3, H, W) in [0, 1], first frames of shots


def by_correlation(frames: torch.Tensor) -> list[int]:
    """Detect cuts as the stream does."""
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector(frame)]


def adaptive(frames: torch.Tensor) -> list[int]:
    """Detect cuts by PySceneDetect, with its defaults but for the length of a shot."""
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    detector, cuts = AdaptiveDetector(min_scene_len=1), []
    for number, frame in enumerate(frames):
        image = np.ascontiguousarray(planes_to_image(to_uint8(frame))[..., ::-1])
        cuts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, fps=25.0), image)]
    return cuts


def read_clip(path: Path, frames: int) -> torch.Tensor:
    with open_source(path) as source:
        return torch.stack([resize(as_tensor(frame), SIZE).clamp_(0, 1) for frame in islice(source.frames(), frames)])


def joined(clips: Sequence[torch.Tensor], lengths: tuple[int, int], rng: np.random.Generator) -> Case:
    """Put pieces of ``lengths`` frames together, each of another clip than the one before."""
    order = list(accumulate(rng.integers(1, len(clips), PIECES), lambda now, step: (now + step) % len(clips)))
    pieces = []
    for clip in (clips[i] for i in order):
        length = min(int(rng.integers(lengths[0], lengths[1] + 1)), len(clip))
        start = int(rng.integers(len(clip) - length + 1))
        pieces.append(clip[start : start + length])
    kind = f"shots of {lengths[0]} to {lengths[1]} frames"
    return kind, torch.cat(pieces), list(accumulate(map(len, pieces)))[:-1]


def pan(name: str, speed: float, frames: int) -> torch.Tensor:
    """Film a photograph by a camera that moves sideways by so many of 160 pixels a frame."""
    image = photograph(name)
    zoom = min(image.shape[1] / SIZE[0], image.shape[2] / SIZE[1]) / 2
    y, x, reach = image.shape[1] / 2, image.shape[2] / 2, zoom * speed * (frames - 1) / 2
    return film(image, CameraMove((y, x - reach), (y, x + reach), zoom, zoom), frames, SIZE)


def cases(clips: Sequence[torch.Tensor], rng: np.random.Generator) -> Iterator[Case]:
    """Yield what has cuts, then what has none."""

    def noisy(frames: torch.Tensor, sigma: float) -> torch.Tensor:
        return (frames + sigma * torch.from_numpy(rng.standard_normal(frames.shape, np.float32))).clamp(0, 1)

    for _ in range(5):
        kind, frames, cuts = joined(clips, (5, 20), rng)
        yield kind, frames, cuts
        yield "the same, at 15 % of its brightness", frames * 0.15, cuts
        yield "the same, with noise of 0.1", noisy(frames, 0.1), cuts
        yield "the same, dark and with noise of 0.05", noisy(frames * 0.15, 0.05), cuts
        yield joined(clips, (1, 4), rng)
    for clip in clips:
        yield "a moment later in the same shot", torch.cat([clip[:8], clip[-8:]]), [8]
    names = (*TRAINING_PHOTOGRAPHS, *SAMPLE_PHOTOGRAPHS)
    stills = torch.stack([resize(photograph(name), SIZE).clamp_(0, 1) for name in names])
    yield "unrelated photographs", stills, list(range(1, len(stills)))

    for clip in clips:
        shown = torch.ones(20, 1, 1, 1)
        shown[9:11] = 0.4
        yield "no cut: the clips", clip, []
        yield "no cut: noise of 0.2", noisy(clip, 0.2), []
        yield "no cut: flash of two frames", clip[:20] * shown[: len(clip)] + 1 - shown[: len(clip)], []
        yield (
            "no cut: fade to black in 5 frames",
            clip[:20] * torch.linspace(2, -2, 20).clamp(0, 1).view(-1, 1, 1, 1),
            [],
        )
        yield "no cut: each frame three times", clip[:20].repeat_interleave(3, 0), []
        yield "no cut: two and three times", clip[:20].repeat_interleave(torch.tensor([2, 3] * 10), 0), []
    for name in names:
        for speed in (4, 8, 16, 32):
            yield f"no cut: pan by {speed} of 160 pixels", pan(name, speed, 10), []


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=count, default=40)
    args = parser.parse_args()
    if len(args.clips) < 2 or args.frames < 20:
        raise InputError(
            f"got {len(args.clips)} clip and {args.frames} frames of each, wanted 2 clips and 20 frames or more"
        )
    clips = [read_clip(path, args.frames) for path in args.clips]
    if short := [str(path) for path, clip in zip(args.clips, clips, strict=True) if len(clip) < 20]:
        raise InputError(f"{', '.join(short)}: wanted 20 frames or more")
    detectors: dict[str, Detector] = {"ours": by_correlation, "adaptive": adaptive}
    totals: dict[str, Counter] = {}
    for kind, frames, cuts in cases(clips, np.random.default_rng(0)):
        total = totals.setdefault(kind, Counter())
        total.update({"cuts": len(cuts), "frames": len(frames)})
        for name, detector in detectors.items():
            found = set(detector(frames))
            total.update({f"{name} missed": len(set(cuts) - found), f"{name} invented": len(found - set(cuts))})
    for kind, total in totals.items():
        figures = (
            f"{name} {total[f'{name} missed']:3} missed {total[f'{name} invented']:3} invented" for name in detectors
        )
        print(f"{kind:38} {total['cuts']:3} cuts of {total['frames']:4} frames: {', '.join(figures)}")

    # Laid out in memory as decoded frames are
    frame, detector, spent = torch.rand(1080, 1920, 3).permute(2, 0, 1), CutDetector(), []
    for _ in range(10):
        began = time.thread_time()
        detector(frame)
        spent.append(time.thread_time() - began)
    print(f"ours, a frame of 1920x1080: {1000 * np.median(spent):.1f} ms of one core")


if __name__ == "__main__":
    run_command(main)
