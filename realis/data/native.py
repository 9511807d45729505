"""Pairs at their native sizes: HR clips, and LR clips beside them, for models that enlarge the LR themselves."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import torch

from realis.core.log import logger
from realis.data.batch import Batch
from realis.data.clips import ClipSet
from realis.data.description import RENDERED, describe_footage
from realis.data.held_out import HeldOutClips
from realis.data.native_config import NativeDataConfig
from realis.data.pairs import PairPool, training_pairs, validation_pairs
from realis.data.randomness import is_flipped


@dataclass(frozen=True)
class NativePairs(PairPool):
    """N pairs rendered from photographs: each sample is one of them, drawn by its number, or its mirror image.

    Its tensors are ``hr`` (N, 3, F, H, W) and ``lr`` (N, 3, F, h, w), uint8.

    Args:
        flip: share of samples that are mirrored left to right.
    """

    flip: float

    def batches(self, plan: Iterable[range]) -> Generator[Batch, None, None]:
        """Yield ``number``, ``hr`` and ``lr`` for each range of sample numbers."""
        for numbers in plan:
            samples = {name: torch.stack([self._clip(x, n) for n in numbers]) for name, x in self.tensors.items()}
            yield Batch(number=torch.tensor(list(numbers)), **samples)

    def _clip(self, clips: torch.Tensor, number: int) -> torch.Tensor:
        clip = clips[self.pick(number)]
        return clip.flip(-1) if is_flipped(self.seed, number, self.flip) else clip


class HeldOutNativePairs(NativePairs):
    """Pairs of which sample n is pair n."""

    def pick(self, number: int) -> int:
        return number


def native_source(config: NativeDataConfig, scale: int, seed: int, samples_per_step: int) -> ClipSet | NativePairs:
    """Return what a run trains on, in batches of ``number``, ``hr`` and ``lr``, uint8: clips of footage (``entries``),
    or rendered pairs.

    Args:
        scale: how many times as large as the LR the HR is.
        seed: of all draws.
        samples_per_step: samples of an optimizer step, over all processes and passes.

    Raises:
        InputError: the footage cannot be used; or rendered pairs cannot be read or kept in ``config.cache``.
    """
    if config.manifest:
        return ClipSet(config.clips(scale), seed, samples_per_step, group="data")
    return NativePairs(training_pairs(config.pairs(scale), seed, vae=None), seed, config.flip)


def describe_source(config: NativeDataConfig, source: ClipSet | NativePairs) -> str:
    """Describe what :func:`native_source` returned, for a model card."""
    if isinstance(source, ClipSet):
        return describe_footage(config.manifest, len(source.entries), config.degradation)
    return RENDERED


def native_held_out(
    config: NativeDataConfig, scale: int, manifest: str, samples: int
) -> HeldOutClips | NativePairs | None:
    """Return what a run is measured on, never mirrored; ``None`` for a run on footage without a ``manifest`` for that.

    Args:
        scale: as for :func:`native_source`.
        manifest: of held-out clips, checked before by :func:`realis.data.native_config.check_native_footage`.
        samples: at most, where there is a manifest; numbers 0 to ``len()`` - 1.

    Raises:
        InputError: a clip cannot be used; or rendered pairs cannot be read or kept in ``config.cache``.
    """
    if manifest:
        return HeldOutClips(config.clips(scale), manifest, samples)
    if config.manifest:
        logger.info("the run is not measured on the way: --validation.manifest names no footage for that")
        return None
    return HeldOutNativePairs(validation_pairs(config.pairs(scale), samples, vae=None), seed=0, flip=0.0)
