"""Computed once, read by every run: embeddings of captions, HR latents of fixed crops.

Files appear complete or not at all, and what is there is kept. Several processes share the work.
"""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset

from realis.core.errors import InputError, RunError, file_error
from realis.core.files import whole_file
from realis.core.log import logger, progress
from realis.core.records import load_json
from realis.data.caption_files import caption_key, embedding_file, held_keys
from realis.data.clips import ClipSet
from realis.models.wan.geometry import latent_size
from realis.models.wan.latents import encoder_digest
from realis.models.wan.loading import Wan
from realis.ops.pixels import signed
from realis.training.latents import LatentCodec
from realis.training.run import Run


def embed_captions(run: Run, wan: Wan, captions: Sequence[str], folder: str) -> None:
    """Add the embeddings (tokens, text_dim) that ``folder`` lacks of ``captions``.

    They lie there as :mod:`realis.data.caption_files` says; those of other captions stay.
    """
    texts_of: dict[Path, list[str]] = {}
    for caption in captions:
        texts_of.setdefault(embedding_file(folder, caption_key(caption)), []).append(caption)
    missing = {}
    for file, texts in texts_of.items():
        keys = held_keys(file)
        lacking = [text for text in texts if caption_key(text) not in keys]
        missing |= {file: lacking} if lacking else {}
    count = sum(map(len, missing.values()))
    logger.info("captions to embed: %d; there already: %d", count, len(captions) - count)
    share = _share(run, list(missing.items()))
    run.accelerator.wait_for_everyone()  # until all have seen the same files missing
    texts = [text for _, group in share for text in group]
    if not texts:
        return
    embeds = wan.embed_texts(texts)
    with progress(total=len(texts), unit="caption") as bar:
        for file, group in share:
            held = load_file(file) if file.is_file() else {}
            new = {caption_key(text): next(embeds)[0].cpu().contiguous() for text in group}
            with whole_file(file) as temporary:
                save_file(held | new, temporary)
            bar.update(len(group))


def encode_crops(run: Run, clips: ClipSet, codec: LatentCodec) -> None:
    """Write the HR latents (C, f, h, w), float16, of the fixed crop of every clip in every bucket.

    Beside them ``vae.json`` names the VAE, and a file without tensors stands for a crop that was passed over.

    Raises:
        InputError: those that are there are of another VAE.
        RunError: they do not fit on the disk.
    """
    folder, sizes, crops = Path(clips.config.latents), clips.config.sizes, fixed_crops(clips)
    missing = sorted(key for key in crops if not _latents_file(folder, key).is_file())  # hashes: buckets are mixed
    _claim_folder(run, folder, encoder_digest(codec.vae))
    cells = (math.prod(latent_size(clips.config.frames, *sizes[crops[key][1]])) for key in missing)
    needed, free = 2 * codec.vae.config.z_dim * sum(cells), shutil.disk_usage(folder).free
    logger.info(
        "crops to encode: %d (%.1f GB); there already: %d", len(missing), needed / 1e9, len(crops) - len(missing)
    )
    if needed > free:
        raise RunError(f"--clips.latents {folder}: {needed / 1e9:.1f} GB are wanted there, {free / 1e9:.1f} are free")
    share, passed_over = _share(run, missing), 0
    loader = DataLoader(_FixedCrops(clips, [crops[key] for key in share]), None, num_workers=clips.config.readers)
    for key, (hr, fault) in zip(share, progress(loader, total=len(share), unit="crop"), strict=True):
        if fault:
            passed_over += 1
            logger.warning("clip passed over: %s", fault)
            _passed_over_file(folder, key).touch()
        else:
            latents = codec.latents_of(signed(hr[None].to(codec.vae.device)))[0].half().cpu().contiguous()
            with whole_file(_latents_file(folder, key)) as temporary:
                save_file({"hr_latents": latents}, temporary)
    logger.info("latents written to %s: %d; clips passed over: %d", folder, len(share) - passed_over, passed_over)


def fixed_crops(clips: ClipSet) -> dict[str, tuple[int, int]]:
    """Clip and bucket of every fixed crop, by its key."""
    crops = ((clip, bucket) for clip in range(len(clips.entries)) for bucket in range(len(clips.config.buckets)))
    return {clips.fixed_key(*crop): crop for crop in crops}


def check_latents(clips: ClipSet, vae: AutoencoderKLWan) -> None:
    """Make sure before training that all fixed crops were encoded or passed over, and by this VAE.

    Raises:
        InputError: they were not.
    """
    folder, crops = Path(clips.config.latents), fixed_crops(clips)
    missing = sum(
        not (_latents_file(folder, key).is_file() or _passed_over_file(folder, key).is_file()) for key in crops
    )
    if missing:
        raise InputError(
            f"--clips.latents {folder}: crops missing: {missing} of {len(crops)}; run train/precompute.py with this "
            "recipe (crops depend on the seed, the buckets, their length and the footage)"
        )
    if _encoder_of(folder) != encoder_digest(vae):
        raise InputError(f"--clips.latents {folder}: made with another VAE than this model's; make them anew elsewhere")


def _claim_folder(run: Run, folder: Path, encoder: str) -> None:
    """Put down whose latents will be in ``folder``, before the first of them."""
    held = _encoder_of(folder)
    run.accelerator.wait_for_everyone()
    if held not in ("", encoder) or (not held and any(folder.glob("*.safetensors"))):
        raise InputError(f"--clips.latents {folder}: holds latents of another VAE, or others; choose another folder")
    if run.accelerator.is_main_process and not held:
        with whole_file(folder / "vae.json") as temporary:
            temporary.write_text(json.dumps({"encoder": encoder}))
    run.accelerator.wait_for_everyone()


def _encoder_of(folder: Path) -> str:
    """Return the digest of the VAE whose latents are in ``folder``; empty if nothing says so."""
    file = folder / "vae.json"
    try:
        return load_json(file.read_text())["encoder"] if file.is_file() else ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise file_error(f"{file}: cannot be read ({error}); make the latents anew elsewhere", error) from error


def _latents_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"


def _passed_over_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.passed_over"


class _FixedCrops(Dataset):
    def __init__(self, clips: ClipSet, crops: list[tuple[int, int]]) -> None:
        self.clips, self.crops = clips, crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, str]:
        """Return a crop (3, F, H, W) uint8, or why it cannot be had."""
        try:
            return self.clips.hr_of(*self.crops[i]), ""
        except InputError as error:
            return torch.empty(0), str(error)


def _share(run: Run, items: list[Any]) -> list[Any]:
    return items[run.accelerator.process_index :: run.accelerator.num_processes]
