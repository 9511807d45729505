"""Stage ``publish``: write the set in Hugging Face's VideoFolder layout, the smaller test clips, tables, checksums."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from realis.builder.clip import Clip, Outcome, printable
from realis.builder.damage import remove_damaged
from realis.core.errors import require
from realis.core.files import link_or_copy, remove_folder, sha256, whole_file
from realis.degradation.presets import load_degradation
from realis.video.encoding import Encoding
from realis.video.fingerprint import fingerprint
from realis.video.names import visible_files
from realis.video.read import VideoReader
from realis.video.write import SegmentWriter

SPLITS = ("train", "test")
SMALLER = 3  # 2160 lines become 720
CHUNK = 16  # frames that are encoded at a time


@dataclass(frozen=True)
class PublishConfig:
    """What is published, and how."""

    title: str = "RealisVideo"  # names the folders: RealisVideo-4K, RealisVideo-720P and their LR
    metadata: Literal["jsonl", "parquet"] = "jsonl"  # form of the tables
    lr: str = "realbasicvsr"  # degradation of the LR of the test clips, as make_lr takes it; empty: none

    def __post_init__(self) -> None:
        if self.lr:
            load_degradation(self.lr)
        fits = self.title != "" and "/" not in self.title and self.title.isprintable()
        require(fits, "--publish.title", repr(self.title), "a name for folders")


def set_name(title: str, lines: int) -> str:
    """Return the name of a set of clips of so many lines.

    >>> set_name("RealisVideo", 2160), set_name("RealisVideo", 720)
    ('RealisVideo-4K', 'RealisVideo-720P')
    """
    return f"{title}-{'4K' if lines == 2160 else f'{lines}P'}"


def shrink(clip: Clip, build: Path, folder: str) -> Iterator[Outcome]:
    """Write a test clip at a third of the size, by antialiased bicubic resizing and losslessly (FFV1), as
    ``folder``/test/NAME.mkv. Sides that are not multiples of six are cropped at the right and at the bottom."""
    file = Path(folder) / "test" / f"{clip.name}.mkv"
    (build / file).parent.mkdir(parents=True, exist_ok=True)
    size = (clip.height // (2 * SMALLER) * 2, clip.width // (2 * SMALLER) * 2)
    with (
        VideoReader(clip.path(build), threads=1) as video,
        SegmentWriter(build / file, size, video.rate, Encoding("ffv1")) as sink,
    ):
        write_resized(video, size, sink.write)
    yield replace(clip, file=file.as_posix(), height=size[0], width=size[1], digest=fingerprint(build / file))


def write_resized(video: VideoReader, size: tuple[int, int], write: Callable[[int, list[Any]], None]) -> None:
    """Resize the frames of ``video`` to ``size`` (height, width), and ``write`` a few at a time with the number of the first.

    Raises:
        FloatingPointError: a pixel is not a finite number; cast to a byte, it would silently become black.
    """
    import torch

    from realis.ops.resize import resize

    held, start = [], 0
    for image in video:
        inner = torch.from_numpy(image[: SMALLER * size[0], : SMALLER * size[1]])
        small = resize(inner.permute(2, 0, 1).float(), size)
        if not small.isfinite().all():
            raise FloatingPointError(
                f"{video.path}: frame {start + len(held)} was resized to pixels that are no numbers"
            )
        held.append(small.clamp_(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy())
        if len(held) == CHUNK:
            write(start, held)
            held, start = [], start + CHUNK
    if held:
        write(start, held)


def lay_out(clips: list[Clip], build: Path, folder: str) -> list[Clip]:
    """Link or copy the clips to train/NAME.mp4 and test/NAME.mp4 in ``folder``, remove all else from there, and return the
    clips with their new files.

    Raises:
        DamagedError: some have changed since they were cut.
    """
    damaged: list[Path] = []
    for split in SPLITS:
        wanted = {Path(clip.file).name: clip for clip in clips if clip.split == split}
        place = build / folder / split
        place.mkdir(parents=True, exist_ok=True)
        for other in place.iterdir():
            if other.name not in wanted:
                remove_folder(other) if other.is_dir() else other.unlink()
        for name, clip in wanted.items():
            if (place / name).exists() and fingerprint(place / name) == clip.digest:
                continue
            with whole_file(place / name) as temporary:
                link_or_copy(clip.path(build), temporary)
            if fingerprint(place / name) != clip.digest:
                damaged += [clip.path(build), place / name]
    remove_damaged(damaged)
    return [replace(clip, file=f"{folder}/{clip.split}/{Path(clip.file).name}") for clip in clips]


def check_smaller(clips: list[Clip], build: Path) -> None:
    """Check that the files of :func:`shrink` have not changed since they were made.

    Raises:
        DamagedError: some have.
    """
    files = {clip.path(build): clip.digest for clip in clips}
    remove_damaged([file for file, digest in files.items() if fingerprint(file) != digest])


def remove_others(source: Path, made: Path) -> None:
    """Remove files from the folder ``made`` whose videos are no longer in ``source``."""
    names = {file.stem for file in source.iterdir()}
    for file in [*made.glob("*.mkv"), *made.glob("*.json")]:
        if file.stem not in names:
            file.unlink()


def write_tables(clips: list[Clip], build: Path, folder: str, form: str) -> None:
    """Write ``metadata.jsonl`` or ``.parquet`` into each split's folder, as the Hub's viewer and ``--clips.manifest`` of
    training read it."""
    scores = sorted({name for clip in clips for name in clip.scores})
    for split in SPLITS:
        for other in (build / folder / split).glob("metadata.*"):
            other.unlink()  # an earlier run may have written the other form
        rows = [table_row(clip, scores) for clip in clips if clip.split == split]
        if rows:
            with whole_file(build / folder / split / f"metadata.{form}") as temporary:
                write_jsonl(rows, temporary) if form == "jsonl" else write_parquet(rows, temporary)


def table_row(clip: Clip, scores: list[str]) -> dict[str, Any]:
    """Return a row of the tables, with all ``scores``, so that every row has the same columns; ``None`` where one was not
    measured. Not named ``start`` and ``frames``, which in a manifest select a part of the file itself."""
    measured = {f"score_{name}": clip.scores.get(name) for name in scores}
    return {"file_name": Path(clip.file).name, "caption": clip.caption, "keywords": ", ".join(clip.keywords),
            "width": clip.width, "height": clip.height, "frame_count": clip.frames, "frame_rate": str(clip.rate),
            "source_video": printable(Path(clip.video).name), "source_start": clip.start, "source": clip.origin,
            "licence": clip.licence} | measured  # fmt: skip


def write_jsonl(rows: list[dict[str, Any]], file: Path) -> None:
    """Write one row a line."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_parquet(rows: list[dict[str, Any]], file: Path) -> None:
    """Write the rows as a Parquet table."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)


def write_checksums(build: Path, folder: str) -> None:
    """Write ``SHA256SUMS`` of all files in ``folder`` but hidden ones, as ``sha256sum --check`` reads it."""
    root = build / folder
    files = sorted(file for file in visible_files(root, below=True) if file.name != "SHA256SUMS")
    with whole_file(root / "SHA256SUMS") as temporary:
        temporary.write_text("".join(f"{sha256(file)}  {file.relative_to(root).as_posix()}\n" for file in files))


def is_intact(folder: Path) -> bool:
    """Return whether a set has its checksums and all files that they list, none of them modified later."""
    sums = folder / "SHA256SUMS"
    try:
        files = [folder / line.partition("  ")[2] for line in sums.read_text(errors="replace").splitlines()]
        return bool(files) and max(file.stat().st_mtime_ns for file in files) <= sums.stat().st_mtime_ns
    except OSError:
        return False
