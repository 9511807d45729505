"""Test sets: ground truth, low-resolution clips, captions; found in folders, named by a manifest, or rendered."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.data.manifest import read_table
from realis.evaluation.footage import Footage, file_name
from realis.video.encoding import Encoding
from realis.video.finished import is_finished
from realis.video.sequences import find_sequences
from realis.video.source import open_source
from realis.video.write import SegmentWriter

if TYPE_CHECKING:
    import torch

LARGEST = (720, 1280)  # height and width that footage is shrunk to fit
LEAST_LINES = 360  # of footage: from less than a quarter of it nobody restores anything
FILM_SIZE = (192, 256)  # height and width of what is rendered
LOSSLESS, CHUNK = Encoding("ffv1"), 8  # frames that are encoded at a time
LARGEST_RATE = 240  # frames a second
RATE = Fraction(25)  # frames a second of what is rendered


@dataclass(frozen=True)
class Clip:
    """A clip of a test set.

    Args:
        name: of its result in every folder.
        truth: ``None``: there is none, as in sets of real degraded video.
        lr: ``None``: it is made from the truth.
        prompt: its caption; may be empty.
    """

    name: str
    truth: Footage | None
    lr: Footage | None = None
    prompt: str = ""


# 1. Ground truth


def clips_of_folder(folder: str, frames: int | None, multiple: int) -> list[Clip]:
    """Return the clips in a folder of ground truth, sorted by name.

    Raises:
        InputError: there are none.
    """
    return [
        Clip(one.name, Footage(one.path, 0, frames, multiple)) for one in find_sequences(Path(folder), results=True)
    ]


def clips_of_manifest(path: str, frames: int | None, multiple: int) -> list[Clip]:
    """Return the clips that a manifest names, in its order, with their captions and the part of each that counts.

    Raises:
        InputError: as :func:`realis.data.manifest.read_table`; or two clips would have one name.
    """
    clips = []
    for entry in read_table(path, "--data"):
        count = min((n for n in (entry.frames, frames) if n is not None), default=None)
        name = entry.path.stem + (f"_{entry.start}" if entry.start else "")
        clips.append(Clip(name, Footage(entry.path, entry.start, count, multiple), prompt=entry.caption))
    names = [clip.name for clip in clips]
    twice = next((name for name in names if names.count(name) > 1), None)
    require(twice is None, f"--data {path}", f"two clips of the name {twice}", "other names of files, or other starts")
    return clips


def clips_of_footage(folder: str, output: Path, frames: int | None, multiple: int) -> list[Clip]:
    """Make ground truth of a folder of real footage: its first frames, shrunk to fit 1280x720 without loss of its aspect.

    Shrinking takes away what compression left. Videos of fewer than 360 lines are left out. What is made is kept in
    ``output``.

    Raises:
        InputError: no video is large enough.
    """
    clips = []
    for one in find_sequences(Path(folder)):
        footage = Footage(one.path, 0, frames)
        size = footage.size()
        if min(size) < LEAST_LINES:
            logger.info("%s: %dx%d, left out: wanted %d lines or more", one.path, *size[::-1], LEAST_LINES)
            continue
        scale = min(1.0, *(most / side for most, side in zip(LARGEST, size, strict=True)))
        height, width = (round(side * scale) // multiple * multiple for side in size)
        file = output / file_name(one.name, ending=".mkv")
        key = {"shrunk to": [height, width], "of": [round(side * scale) for side in size], **footage.facts()}
        write_once(file, key, (height, width), _shrunk(footage, size, scale))
        clips.append(Clip(one.name, Footage(file)))
    require(bool(clips), f"--clips {folder}", "no video of 360 lines", "one or more")
    return clips


def _shrunk(footage: Footage, size: tuple[int, int], scale: float) -> "Iterator[torch.Tensor]":
    from realis.ops.resize import resize

    for frame in footage.read():
        yield frame if scale == 1 else resize(frame, (round(size[0] * scale), round(size[1] * scale))).clamp_(0, 1)


def rendered_clips(output: Path, frames: int) -> list[Clip]:
    """Render ground truth of six clips (:func:`films`), and keep it in ``output``."""
    clips = []
    for name, film in films(frames).items():
        file = output / f"{name}.mkv"
        write_once(file, {"film": name, "frames": frames, "size": FILM_SIZE}, FILM_SIZE, (frame for frame in film()))
        clips.append(Clip(name, Footage(file)))
    return clips


def films(frames: int) -> "dict[str, Callable[[], torch.Tensor]]":
    """Return what renders each film of the photographs that no part of realis-tiny was trained on, at rest, slow and fast.

    Returns:
        By name, a call that gives (frames, 3, 192, 256) float32 in [0, 1].
    """
    from realis.data.photographs import SAMPLE_PHOTOGRAPHS

    return {
        f"{Path(name).stem}_{speed:g}".replace(".", "_"): partial(_film, name, speed, frames)
        for name in SAMPLE_PHOTOGRAPHS
        for speed in (0.0, 1.3, 5.7)
    }


def _film(name: str, speed: float, frames: int) -> "torch.Tensor":
    """Film a photograph by a camera that moves over its middle, ``speed`` pixels a frame."""
    from realis.data.photographs import CameraMove, film, photograph

    image = photograph(name)
    y, x, reach = image.shape[1] / 2, image.shape[2] / 2, speed * (frames - 1) / 2
    move = CameraMove((y - 0.6 * reach, x - 0.8 * reach), (y + 0.6 * reach, x + 0.8 * reach))
    return film(image, move, frames, FILM_SIZE)


def write_once(
    file: Path, key: dict[str, Any], size: tuple[int, int], frames: "Iterable[torch.Tensor]", rate: Fraction = RATE
) -> None:
    """Write frames (3, H, W) in [0, 1] without loss, in 8 bits, cut to ``size`` at the bottom and on the right; unless
    that was done before, from the same ``key``.

    Raises:
        InputError: it cannot be written.
    """
    if is_finished(file, key):
        return
    from realis.ops.pixels import planes_to_image, to_uint8

    file.parent.mkdir(parents=True, exist_ok=True)
    images = (planes_to_image(to_uint8(frame[:, : size[0], : size[1]])) for frame in frames)
    write_images(file, key, size, images, rate)


def write_images(
    file: Path, key: dict[str, Any], size: tuple[int, int], images: Iterator[np.ndarray], rate: Fraction
) -> None:
    """Write images (H, W, 3) uint8 as a lossless video, with notes of its ``key``."""
    start = 0
    with SegmentWriter(file, size, rate, LOSSLESS, key=key, restart=True) as sink:
        while chunk := list(islice(images, CHUNK)):
            sink.write(start, chunk)
            start += len(chunk)


# 2. Low resolution, and results of others


def with_lr(clips: Sequence[Clip], folder: str) -> list[Clip]:
    """Return ``clips`` with their low-resolution clips, those of the same names in ``folder``.

    Raises:
        InputError: one has none.
    """
    found = match(clips, Path(folder), "--lr")
    return [replace(clip, lr=footage) for clip, footage in zip(clips, found, strict=True)]


def clips_of_lr(folder: str, frames: int | None) -> list[Clip]:
    """Return the clips of a set without ground truth.

    Raises:
        InputError: there are none.
    """
    return [Clip(one.name, None, Footage(one.path, 0, frames)) for one in find_sequences(Path(folder))]


def match(clips: Sequence[Clip], folder: Path, flag: str) -> list[Footage]:
    """Return for each of ``clips`` the one of its name in ``folder``, of as many frames at most.

    A result may have more to its name, as ``000_4x`` for ``000``, where that is plain; a single result belongs to a single
    clip whatever it is called.

    Raises:
        InputError: some clips have none, or more than one.
    """
    found = {one.name: one.path for one in find_sequences(folder, results=True)}
    if len(found) == len(clips) == 1:
        if clips[0].name not in found:
            logger.info("%s %s: %s is taken as the result of %s", flag, folder, *found, clips[0].name)
        named = {clips[0].name: list(found)}
    else:
        others = set(found) - {clip.name for clip in clips}
        named = {
            clip.name: [clip.name] if clip.name in found else [n for n in others if n.startswith(f"{clip.name}_")]
            for clip in clips
        }
    wrong = [name for name, names in named.items() if len(names) != 1]
    if wrong:
        near = named[wrong[0]] or difflib.get_close_matches(wrong[0], found, 1)
        hint = f"; it has {', '.join(near)}" if near else ""
        raise InputError(
            f"{flag} {folder}: {len(wrong)} of {len(clips)} clips have no result there, or several: {', '.join(wrong[:5])}"
            f"{hint}; wanted one of the same name for each"
        )
    frames = [(clip.truth or clip.lr or Footage(folder)).frames for clip in clips]
    return [Footage(found[named[clip.name][0]], 0, count) for clip, count in zip(clips, frames, strict=True)]


def whole_file_of(footage: Footage, folder: Path, name: str) -> Footage:
    """Return footage as a whole file, as methods read it: itself, or where only a part counts, a lossless copy in
    ``folder``, unless that was made before."""
    if footage.start == 0 and footage.frames is None and footage.multiple == 1:
        return footage
    file = folder / file_name(name, ending=".mkv")
    write_once(file, {"a part of": footage.facts()}, footage.size(), footage.read(), rate_of(footage))
    return Footage(file)


def rate_of(footage: Footage) -> Fraction:
    """Return the frames a second of a clip."""
    with open_source(footage.path) as source:
        return source.rate if source.rate <= LARGEST_RATE else RATE  # Matroska of two frames does not tell it
