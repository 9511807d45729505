"""Training pairs cut out of footage: what a sample is depends on the seed, its global number and the samples of a step.

So the same samples come on any number of processes and with any accumulation that make as many samples a step, after any
resume, and from any number of workers. B batch, F frames, H and W pixels of the HR clip.
"""

import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset

from realis.core.errors import InputError
from realis.core.log import logger
from realis.core.records import digest
from realis.data.batch import Batch
from realis.data.caption_files import ANEW, check_embeddings, read_embedding
from realis.data.clips_config import ClipsConfig
from realis.data.manifest import ClipEntry, read_manifest
from realis.data.randomness import is_flipped, sample_rng
from realis.degradation.parameters import DegradationParameters
from realis.degradation.presets import load_degradation
from realis.degradation.second_order import Margin, degraded_pair, whole_margin
from realis.models.wan.prompts import pad_prompt
from realis.ops.finite import check_tensors
from realis.ops.pixels import stack_uint8
from realis.video.excerpt import read_excerpt, read_facts
from realis.video.sequences import frame_files

ORDER = 1000  # in the place of a purpose's number: draws of an epoch's order are like no sample's
CROPS = 2  # version of what a fixed crop shows of a file, by which latents are kept: 2: turned upright
SKIPS = 32  # clips in a row that may be of no use
NAMED = 3  # unreadable clips that an error names
GRACE = 30  # seconds that a reading process lives on after SIGTERM
COUNTED = 100  # the share of unreadable clips is one of at least so many, or of all there are


LatentSize = Callable[[int, int, int], tuple[int, int, int]]


class UnfitError(InputError):
    """A clip that is smaller or shorter than what is to be cut out of it. Nothing is wrong with the file."""


class Fault(NamedTuple):
    """Why a clip was passed over."""

    clip: int
    reason: str
    is_unfit: bool


class Fetched(NamedTuple):
    """Samples, and what a worker has to tell; ``error``, if any, stands in the place of the samples."""

    batch: Batch
    tried: list[int]
    faults: list[Fault]
    error: str = ""


class ClipSet(Dataset):
    """Pairs of HR and LR clips from the footage of a manifest.

    Args:
        config: what to cut, how to degrade it.
        seed: of all draws.
        samples_per_step: samples of an optimizer step, over all processes and passes; they share one bucket.
        latent_size: frames, height and width of a clip -> those of its latents, which read ones are checked by.
        group: of the flags that ``config`` comes from, for errors.

    Raises:
        InputError: the manifest cannot be used, or embeddings or latents are missing.
    """

    def __init__(
        self,
        config: ClipsConfig,
        seed: int,
        samples_per_step: int,
        latent_size: LatentSize | None = None,
        group: str = "clips",
    ) -> None:
        self.config, self.seed, self.samples_per_step = config, seed, samples_per_step
        self.latent_size, self.group = latent_size, group
        self.entries = self.read_entries()
        manifest = Path(config.manifest)
        self.folder = manifest if manifest.is_dir() else manifest.parent
        if config.embeddings:
            check_embeddings(config.embeddings, config.captions_read(entry.caption for entry in self.entries))
        if config.latents and not Path(config.latents).is_dir():
            raise InputError(f"--clips.latents {config.latents}: no such folder; make it with train/precompute.py")
        self.tried: set[int] = set()  # of the process that consumes batches
        self.faults: dict[int, Fault] = {}

    # 1. What a sample is

    def read_entries(self) -> list[ClipEntry]:
        """Return the clips of the manifest."""
        return read_manifest(self.config.manifest, f"--{self.group}.manifest")

    def bucket_of(self, number: int) -> int:
        """Return the index of the bucket of sample ``number``: one a step, in order."""
        return number // self.samples_per_step % len(self.config.buckets)

    def candidates(self, number: int) -> list[int]:
        """Return the indices of the clips that sample ``number`` is cut from: the first one that is of use.

        Every epoch has all clips once, in an order of its own.
        """
        epoch, position = divmod(number, len(self.entries))
        order = _order(self.seed, epoch, len(self.entries))
        return [order[(position + i) % len(order)] for i in range(min(SKIPS, len(order)))]

    def caption(self, number: int, clip: int) -> str:
        """Return the caption that sample ``number`` goes with if it is cut from ``clip``."""
        dropped = sample_rng(self.seed, number, "other").random() < self.config.caption_dropout
        return "" if dropped else self.entries[clip].caption

    def draws(self, number: int) -> np.random.Generator:
        """Return the generator of sample ``number``: its crop, then its degradation (a flip has one of its own)."""
        return sample_rng(self.seed, number, "pair")

    def placed(self, clip: int, bucket: int, draws: np.random.Generator) -> Callable[[int, int], int]:
        """Return how a crop is placed, along time, height and width: a function of the first start and the one after
        the last."""
        return (self._crop_rng(clip, bucket) if self.config.latents else draws).integers

    def margin(self) -> Margin:
        """Return what is read around a crop and degraded with it: no frames, where they could change nothing."""
        margin = whole_margin(self.config.scale)
        return margin._replace(frames=0) if load_degradation(self.config.degradation).only_shrinks else margin

    def extent(self, clip: int, bucket: int) -> list[tuple[int, int]]:
        """Return what of a clip may be used: first and one after the last of its frames, rows and columns.

        Raises:
            UnfitError: it is too small or too short for the bucket.
            InputError: it cannot be read.
        """
        entry = self.entries[clip]
        facts = read_facts(entry.path)
        whole = [_part(entry, facts.frames), (0, facts.height), (0, facts.width)]
        check_fits(entry, whole, (self.config.frames, *self.config.sizes[bucket]))
        return whole

    def fixed_key(self, clip: int, bucket: int) -> str:
        """Return the name of the latents of the fixed crop of a clip: a hash of all that the crop depends on.

        A clip is told by its path and length in bytes, which for a folder of frames is that of all of them.

        Raises:
            InputError: the clip is gone.
        """
        entry, (height, width) = self.entries[clip], self.config.sizes[bucket]
        name = Path(os.path.relpath(entry.path, self.folder)).as_posix()
        try:
            files = frame_files(entry.path) if entry.path.is_dir() else [entry.path]
            length = sum(file.stat().st_size for file in files)
        except OSError as error:
            raise InputError(f"{entry.path}: cannot be read ({error.strerror})") from error
        facts = [CROPS, name, length, entry.start, entry.frames, self.seed, height, width]
        facts += [self.config.frames, load_degradation(self.config.degradation).sharpen]
        return digest(facts)

    # 2. Samples

    def __getitem__(self, number: int) -> Fetched:
        """Sample ``number``: ``hr`` (3, F, H, W) and ``lr`` (3, F, h, w) uint8, and ``prompt`` and ``hr_latents`` if
        configured."""
        tried, faults = [], []
        bucket = self.bucket_of(number)
        try:
            with _one_thread():
                for clip in self.candidates(number):
                    tried.append(clip)
                    draws = self.draws(number)
                    try:
                        wide = self._wide(clip, bucket, self.placed(clip, bucket, draws))
                    except InputError as error:
                        faults.append(Fault(clip, str(error), isinstance(error, UnfitError)))
                        continue
                    return Fetched(self._sample(number, clip, bucket, wide, draws), tried, faults)
        except InputError as error:
            return Fetched({}, tried, faults, str(error))
        reason = f"none of the clips tried ({len(tried)}) can give a sample, first: {faults[0].reason}"
        return Fetched({}, tried, faults, f"{self.config.manifest}: {reason}")

    def hr_of(self, clip: int, bucket: int) -> torch.Tensor:
        """Return the fixed HR crop (3, F, H, W) uint8 of a clip, whose latents are called :meth:`fixed_key`.

        Raises:
            UnfitError: the clip is too small or too short for it.
            InputError: the clip cannot be read.
        """
        with _one_thread():
            wide = self._wide(clip, bucket, self._crop_rng(clip, bucket).integers)
            sharpen = load_degradation(self.config.degradation).sharpen
            size = tuple(wide.shape[2:])
            hr, _ = degraded_pair(wide, DegradationParameters(len(wide), size, size, sharpen, ()), self.margin())
            return stack_uint8(hr)

    def _sample(self, number: int, clip: int, bucket: int, wide: torch.Tensor, rng: np.random.Generator) -> Batch:
        c = self.config
        if is_flipped(self.seed, number, c.flip):  # before it is degraded, as a mirrored video would be
            wide = wide.flip(-1)
        parameters = load_degradation(c.degradation).sample(rng, len(wide), tuple(wide.shape[2:]), c.scale)
        hr, lr = degraded_pair(wide, parameters, self.margin())
        sample: Batch = {"number": torch.tensor(number), "hr": stack_uint8(hr), "lr": stack_uint8(lr)}
        if c.embeddings:
            sample["prompt"] = pad_prompt(read_embedding(c.embeddings, self.caption(number, clip))[None])[0]
        if c.latents:
            sample["hr_latents"] = self._latents(clip, bucket)
        return sample

    def _crop_rng(self, clip: int, bucket: int) -> np.random.Generator:
        """Return the generator that places a fixed crop: it stays the same when clips are added to the manifest."""
        return np.random.default_rng(int(self.fixed_key(clip, bucket), 16))

    def _wide(self, clip: int, bucket: int, placed: Callable[[int, int], int]) -> torch.Tensor:
        """Return a crop with the margin that degrading it takes: (F + 2 m, 3, H + 2 p, W + 2 p) float32 in [0, 1]."""
        whole, size, frames = self.extent(clip, bucket), self.config.sizes[bucket], self.config.frames
        margin = self.margin()
        reads, pads = [], []
        for (low, high), length, around in zip(whole, (frames, *size), (margin[0], margin[1], margin[1]), strict=True):
            start = int(placed(low, high - length + 1))
            first, stop = max(start - around, low), min(start + length + around, high)
            reads.append((first, stop - first))
            pads.append((first - (start - around), start + length + around - stop))
        (start, count), (top, height), (left, width) = reads
        images = read_excerpt(self.entries[clip].path, start, count, (top, left, height, width))
        images = np.pad(images, [*pads, (0, 0)], mode="reflect")
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(255)

    def _latents(self, clip: int, bucket: int) -> torch.Tensor:
        file = Path(self.config.latents) / f"{self.fixed_key(clip, bucket)}.safetensors"
        (height, width), frames = self.config.sizes[bucket], self.config.frames
        assert self.latent_size is not None
        wanted = self.latent_size(frames, height, width)
        try:
            latents = load_file(file)["hr_latents"]
        except (OSError, SafetensorError, KeyError) as error:
            what = f"the HR latents of {self.entries[clip].path} in {width}x{height}"
            raise InputError(f"{file}: {what} are not there ({error}); {ANEW}") from error
        if latents.ndim != 4 or tuple(latents.shape[1:]) != wanted:
            raise InputError(f"{file}: got latents of shape {tuple(latents.shape)}, wanted (channels, *{wanted})")
        check_tensors({"hr_latents": latents}, file, ANEW)
        return latents

    # 3. Batches

    def batches(self, plan: Iterable[range]) -> Generator[Batch, None, None]:
        """Yield a batch for each range of sample numbers, in that order.

        ``hr``, ``lr`` and ``number``; ``prompt`` (B, 512, dim) and ``hr_latents`` as stored, if configured. Clips that
        are passed over are told of once each.

        Raises:
            InputError: too many clips cannot be read, or a sample cannot be had.
        """
        loader = DataLoader(
            self, batch_sampler=map(list, plan), num_workers=self.config.readers, collate_fn=_collate,
            worker_init_fn=_begin_worker, prefetch_factor=2 if self.config.readers else None,
            generator=torch.Generator(),  # else it would draw from the global one
        )  # fmt: skip
        if self.config.readers:
            # OpenCV's threads do not survive the fork: a worker that changes their number would wait for them for ever
            cv2.setNumThreads(1)
        try:
            for fetched in loader:
                self._take_note(fetched)
                yield fetched.batch
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold on to the workers, which end when they are let go
            raise

    def _take_note(self, fetched: Fetched) -> None:
        """Warn of clips that were passed over, and stop if too many cannot be read."""
        self.tried.update(fetched.tried)
        for fault in fetched.faults:
            if fault.clip not in self.faults:
                self.faults[fault.clip] = fault
                logger.warning("clip passed over (%d of %d tried): %s", len(self.faults), len(self.tried), fault.reason)
        corrupt = [fault.reason for fault in self.faults.values() if not fault.is_unfit]
        counted = max(len(self.tried), min(len(self.entries), COUNTED))
        if len(corrupt) > self.config.max_corrupt * counted:
            raise InputError(
                f"{self.config.manifest}: of the clips tried ({len(self.tried)}) too many cannot be read: {len(corrupt)}, "
                f"more than --{self.group}.max-corrupt {self.config.max_corrupt} of {counted} allows; take them out or mend them: "
                f"{'; '.join(corrupt[:NAMED])}"
            )
        if fetched.error:
            raise InputError(fetched.error)


def check_fits(entry: ClipEntry, whole: list[tuple[int, int]], wanted: tuple[int, int, int]) -> None:
    """Raise an UnfitError unless ``wanted`` frames, height and width can be cut out of the stretches ``whole``."""
    frames, height, width = (max(high - low, 0) for low, high in whole)
    if height < wanted[1] or width < wanted[2]:
        raise UnfitError(f"{entry.path}: {width}x{height} is too small for {wanted[2]}x{wanted[1]}")
    if frames < wanted[0]:
        raise UnfitError(f"{entry.path}: too few frames from {entry.start} on: {frames}, wanted {wanted[0]}")


def _part(entry: ClipEntry, frames: int) -> tuple[int, int]:
    """First frame and the one after the last that may be used of a file that has ``frames``."""
    return entry.start, frames if entry.frames is None else min(entry.start + entry.frames, frames)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    return np.random.default_rng((seed, epoch, ORDER)).permutation(count).tolist()


def _collate(samples: list[Fetched]) -> Fetched:
    error = next((sample.error for sample in samples if sample.error), "")
    names = [] if error else samples[0].batch
    batch = {name: torch.stack([sample.batch[name] for sample in samples]) for name in names}
    tried, faults = ([x for sample in samples for x in getattr(sample, name)] for name in ("tried", "faults"))
    return Fetched(batch, tried, faults, error)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it torch and OpenCV use one thread, so that a sample is the same to the last bit in a worker or not."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _begin_worker(_: int) -> None:
    torch.set_flush_denormal(True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training process, which ends its workers
    if hasattr(signal, "alarm"):  # not on Windows
        # A scheduler may send SIGTERM to all processes: the training process saves then, and must not find workers dead.
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
