"""Computed once, read by every run: embeddings of captions, HR latents of fixed crops.

Files appear complete or not at all, and what is there is kept. Several processes share the work.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from realis.errors import InputError
from realis.log import logger, progress
from realis.models.wan import Wan
from realis.training.caption_files import caption_key, embedding_file, held_keys
from realis.training.clips import ClipSet
from realis.training.latents import LatentCodec
from realis.training.run import Run


def embed_captions(run: Run, wan: Wan, captions: Sequence[str], folder: str) -> None:
    """Write the embeddings (tokens, text_dim) of captions into ``folder``, as :mod:`realis.training.caption_files` says.

    A file that lacks one of its captions is written anew.
    """
    texts_of: dict[Path, list[str]] = {}
    for caption in captions:
        texts_of.setdefault(embedding_file(folder, caption_key(caption)), []).append(caption)
    missing = [(file, texts) for file, texts in texts_of.items() if not set(map(caption_key, texts)) <= held_keys(file)]
    count = sum(len(texts) for _, texts in missing)
    logger.info("%d captions to embed, %d are there", count, len(captions) - count)
    share = _share(run, missing)
    texts = [text for _, group in share for text in group]
    if not texts:
        return
    embeds = wan.embed_texts(texts)
    with progress(total=len(texts), unit="caption") as bar:
        for file, group in share:
            _write(file, {caption_key(text): next(embeds)[0].cpu() for text in group})
            bar.update(len(group))


def encode_crops(run: Run, clips: ClipSet, codec: LatentCodec) -> None:
    """Write the HR latents (C, f, h, w), float16, of the fixed crop of every clip in every bucket.

    Raises:
        InputError: they do not fit on the disk.
    """
    folder, sizes = Path(clips.config.latents), clips.config.sizes
    crops = [(clip, bucket) for clip in range(len(clips.entries)) for bucket in range(len(sizes))]
    files = [folder / f"{clips.fixed_key(*crop)}.safetensors" for crop in crops]
    missing = [(crop, file) for crop, file in zip(crops, files, strict=True) if not file.is_file()]
    frames = (clips.config.frames + 3) // 4
    numbers = (codec.vae.config.z_dim * frames * (sizes[b][0] // 8) * (sizes[b][1] // 8) for (_, b), _ in missing)
    needed, free = 2 * sum(numbers), shutil.disk_usage(folder).free
    logger.info("%d crops to encode (%.1f GB), %d are there", len(missing), needed / 1e9, len(crops) - len(missing))
    if needed > free:
        raise InputError(f"--clips.latents {folder}: {needed / 1e9:.1f} GB are wanted there, {free / 1e9:.1f} are free")
    share = _share(run, missing)
    loader = DataLoader(_FixedCrops(clips, [crop for crop, _ in share]), None, num_workers=clips.config.workers)
    for (_, file), (hr, fault) in zip(share, progress(loader, total=len(share), unit="crop"), strict=True):
        if fault:
            logger.warning("clip passed over: %s", fault)
        else:
            pixels = hr[None].to(codec.vae.device).float() / 127.5 - 1
            _write(file, {"hr_latents": codec.latents_of(pixels)[0].half().cpu()})


class _FixedCrops(Dataset):
    def __init__(self, clips: ClipSet, crops: list[tuple[int, int]]) -> None:
        self.clips, self.crops = clips, crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, str]:
        """A crop (3, F, H, W) uint8, or why it cannot be had."""
        try:
            return self.clips.hr_of(*self.crops[i]), ""
        except InputError as error:
            return torch.empty(0), str(error)


def _share(run: Run, items: list[Any]) -> list[Any]:
    return items[run.accelerator.process_index :: run.accelerator.num_processes]


def _write(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        save_file({name: x.contiguous() for name, x in tensors.items()}, temporary)
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"{file}: writing failed ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
