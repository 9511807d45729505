"""Held-out clips, which training never sees: sample n is always clip n, cut and degraded alike, in every run. (Those of
rendered pairs are in :mod:`realis.data.pairs`.)"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from realis.core.errors import InputError
from realis.data.clips import ClipSet
from realis.data.clips_config import ClipsConfig
from realis.data.manifest import ClipEntry, read_manifest
from realis.data.randomness import sample_rng


class HeldOutClips(ClipSet):
    """The first clips of a manifest of their own: of each the middle, in the first bucket, under its own caption.

    Args:
        config: how to cut and degrade, as in training.
        manifest: checked before by :func:`realis.data.manifest.read_held_out`.
        samples: at most; as many as there are clips.

    Raises:
        InputError: a clip cannot be read, or is too small or too short; or its caption has no embedding.
    """

    def __init__(self, config: ClipsConfig, manifest: str, samples: int) -> None:
        super().__init__(replace(config, manifest=manifest, latents="", flip=0.0, max_corrupt=1.0), 0, 1)
        self.samples = min(samples, len(self.entries))
        for clip in range(self.samples):
            try:
                self.extent(clip, 0)
            except InputError as error:
                raise InputError(f"--validation.manifest {manifest}: {error}; take that clip out") from error

    def __len__(self) -> int:
        return self.samples

    def read_entries(self) -> list[ClipEntry]:
        return read_manifest(self.config.manifest, "--validation.manifest", held_out=True)

    def bucket_of(self, number: int) -> int:
        return 0

    def candidates(self, number: int) -> list[int]:
        return [number]

    def caption(self, number: int, clip: int) -> str:
        return self.entries[clip].caption if self.config.caption_dropout < 1 else ""

    def draws(self, number: int) -> np.random.Generator:
        return sample_rng(0, number, "held out")

    def placed(self, clip: int, bucket: int, draws: np.random.Generator) -> Callable[[int, int], int]:
        return lambda first, stop: (first + stop - 1) // 2
