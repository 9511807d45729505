"""What training on footage can be told."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from realis.core.errors import require
from realis.degradation.presets import load_degradation

# Near Wan's 480p in area; multiples of 32, so that latents fill whole HOG cells and split into two parts evenly.
BUCKETS = ("832x480", "768x512", "704x544", "640x608", "480x832", "512x768", "544x704", "608x640")
CAPTION_DROPOUT = 0.1


@dataclass(frozen=True)
class ClipsConfig:
    """Clips cut at random out of footage, at its native resolution, and degraded on the fly."""

    # JSONL, CSV or Parquet with file_name (and caption, start, frames), or a folder: of clips, or REDS or Vimeo-90K;
    # empty: none
    manifest: str = ""
    frames: int = 49  # of a clip; Wan takes 4 n + 1
    # WIDTHxHEIGHT of clips, one after the other every step; for Wan multiples of 32, of 16 with HOG cells of 1 or 2
    buckets: tuple[str, ...] = BUCKETS
    scale: int = 4  # the LR is this much smaller: 1, 2 or 4
    degradation: str = "realbasicvsr"  # a preset (realbasicvsr, real_esrgan, light, bi, bd), or a YAML file of ranges
    embeddings: str = ""  # folder of the captions' embeddings from train/precompute.py; empty: no text
    caption_dropout: float = CAPTION_DROPOUT  # share of samples with the empty caption; 1: no caption is read
    latents: str = ""  # folder of HR latents of fixed crops from train/precompute.py; empty: crops are random
    flip: float = 0.0  # share of samples that are mirrored left to right
    workers: int = 6  # processes that read clips, for each GPU, at most one a core; 0: in the training process
    max_corrupt: float = 0.05  # share of clips that may be unreadable before training stops

    def __post_init__(self) -> None:
        require(self.frames >= 1, "--clips.frames", self.frames, "at least 1")
        require(len(self.buckets) > 0, "--clips.buckets", "none", "at least one, such as 832x480")
        require(self.scale in (1, 2, 4), "--clips.scale", self.scale, "1, 2 or 4")
        for bucket in self.buckets:
            fits = re.fullmatch(r"[1-9]\d*x[1-9]\d*", bucket) and all(
                int(n) % self.scale == 0 for n in bucket.split("x")
            )
            wanted = f"WIDTHxHEIGHT in multiples of --clips.scale {self.scale}, such as 832x480"
            require(bool(fits), "--clips.buckets", bucket, wanted)
        load_degradation(self.degradation)
        require(0 <= self.caption_dropout <= 1, "--clips.caption-dropout", self.caption_dropout, "0 to 1")
        unused = not self.embeddings and self.caption_dropout != CAPTION_DROPOUT
        require(
            not unused,
            "--clips.caption-dropout",
            self.caption_dropout,
            "--clips.embeddings beside it: without them no caption is read anyway",
        )
        require(0 <= self.flip <= 1, "--clips.flip", self.flip, "0 to 1")
        require(not (self.flip and self.latents), "--clips.flip", self.flip,
                "0 with --clips.latents, which are of crops that are not mirrored")  # fmt: skip
        require(self.workers >= 0, "--clips.workers", self.workers, "0 or more")
        require(0 <= self.max_corrupt <= 1, "--clips.max-corrupt", self.max_corrupt, "0 to 1")

    def captions_read(self, captions: Iterable[str]) -> list[str]:
        """Return those of a manifest's captions that samples may have, each once: always the empty one, and no other if
        all are dropped."""
        return list(dict.fromkeys(["", *(captions if self.caption_dropout < 1 else ())]))

    @property
    def readers(self) -> int:
        """Processes that read clips here: ``workers``, or as many as this process may use cores."""
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
        return min(self.workers, len(affinity(0)) if affinity else os.cpu_count() or 1)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The buckets as (height, width)."""
        return [(int(height), int(width)) for width, height in (bucket.split("x") for bucket in self.buckets)]
