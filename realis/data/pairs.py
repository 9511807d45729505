"""Pairs of high- and low-resolution clips rendered from moving photographs, and the latents of both.

Small models need many steps over little data, so a pool of pairs is made once and kept; every batch then picks from
it by (seed, global sample number).
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.functional import pad

from realis.core.errors import file_error
from realis.core.files import whole_file
from realis.core.log import progress
from realis.data.batch import Batch, enlarge
from realis.data.pairs_config import DataConfig, PairsConfig
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, training_clip
from realis.data.randomness import sample_rng
from realis.degradation.presets import load_degradation
from realis.degradation.second_order import MARGIN, degraded_pair, whole_margin
from realis.models.wan.latents import encode_video, encoder_digest
from realis.ops.finite import check_tensors
from realis.ops.pixels import signed, stack_uint8

# Of what pixels and latents a pool has under one configuration: raise it with every change of code that changes them,
# in render_pair and below (photographs, degradation, ops), so that no pool from before is taken for one of now.
VERSION = 3


@dataclass(frozen=True)
class PairPool:
    """N pairs, whose LR clips may be of N sizes.

    Args:
        tensors: ``hr`` (N, 3, F, H, W) uint8; ``lr`` of the same shape, with each LR clip in the upper left corner, and
            its height and width in ``lr_size`` (N, 2); ``hr_latents`` and ``lr_latents`` (N, C, f, h, w) float32.
        seed: decides which pair a sample picks.
    """

    tensors: dict[str, torch.Tensor]
    seed: int

    def __len__(self) -> int:
        return len(self.tensors["hr"])

    def batches(self, plan: Iterable[range]) -> Generator[Batch, None, None]:
        """Yield, for each range of sample numbers, a batch of the pairs that they pick, with ``hr``, ``lr_resized`` and
        both latents."""
        for numbers in plan:
            picks = [self.pick(number) for number in numbers]
            taken = {name: self.tensors[name][picks] for name in ("hr", "hr_latents", "lr_latents")}
            yield Batch(number=torch.tensor(list(numbers)), lr_resized=lr_resized(self.tensors, picks), **taken)

    def pick(self, number: int) -> int:
        """Return the pair that sample ``number`` is."""
        return int(sample_rng(self.seed, number, "pair").integers(len(self)))


def render_pair(
    config: PairsConfig, rng: np.random.Generator, photographs: Mapping[str, float] = TRAINING_PHOTOGRAPHS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render a random pair: HR (3, F, H, W) and LR (3, F, h, w), both uint8. ``photographs`` are what may be shown, by
    weight."""
    scale = float(rng.choice(config.scales))
    margin, degradation = whole_margin(scale), load_degradation(str(rng.choice(config.degradations)))
    if config.frames == 1 or degradation.only_shrinks:  # frames around would not be seen in the result
        margin = margin._replace(frames=0)
    wide = training_clip(rng, config.frames + 2 * margin.frames, config.size + 2 * margin.pixels, photographs)
    parameters = degradation.sample(rng, len(wide), tuple(wide.shape[2:]), scale)
    hr, lr = degraded_pair(wide, parameters, margin)
    return stack_uint8(hr), stack_uint8(lr)


def pair_pool(config: DataConfig, seed: int, vae: AutoencoderKLWan) -> PairPool:
    """Render the pool of a run, or read it; see :func:`training_pairs`."""
    return PairPool(training_pairs(config, seed, vae), seed)


class HeldOutPairs(PairPool):
    """A pool of which sample n is pair n."""

    def pick(self, number: int) -> int:
        return number


def held_out_pairs(config: DataConfig, samples: int, vae: AutoencoderKLWan) -> HeldOutPairs:
    """Return ``samples`` pairs like those of ``config``, of the photographs that training does not use, and kept in
    ``config.cache``.

    Raises:
        InputError: what is kept there is damaged, or nothing can be written there.
    """
    return HeldOutPairs(validation_pairs(config, samples, vae), seed=0)


def training_pairs(config: PairsConfig, seed: int, vae: AutoencoderKLWan | None) -> dict[str, torch.Tensor]:
    """Return the pairs that a run trains on; see :func:`kept_pool`."""
    rngs = [sample_rng(seed, number, "pair") for number in range(config.count)]
    return kept_pool(config, seed, rngs, vae, TRAINING_PHOTOGRAPHS)


def validation_pairs(config: PairsConfig, samples: int, vae: AutoencoderKLWan | None) -> dict[str, torch.Tensor]:
    """Return ``samples`` pairs of the photographs that training does not use; see :func:`kept_pool`."""
    rngs = [sample_rng(0, number, "held out") for number in range(samples)]
    return kept_pool(replace(config, count=samples), "held out", rngs, vae, dict.fromkeys(SAMPLE_PHOTOGRAPHS, 1.0))


def kept_pool(
    config: PairsConfig,
    drawn_by: int | str,
    rngs: Sequence[np.random.Generator],
    vae: AutoencoderKLWan | None,
    photographs: Mapping[str, float],
) -> dict[str, torch.Tensor]:
    """Render a pair by each generator, or read them from ``config.cache`` if the same ones were rendered before.

    Args:
        drawn_by: what the generators depend on.
        vae: encodes both clips. ``None``: there are no latents, and pairs are of one scale.

    Returns:
        the tensors of a :class:`PairPool`; without latents ``hr`` (N, 3, F, H, W) and ``lr`` (N, 3, F, h, w) uint8.

    Raises:
        InputError: what is there is damaged, or nothing can be written there.
    """
    file = _cache_file(config, drawn_by, vae)
    if file and file.is_file():
        return _read_pool(file)
    tensors = _render_pool(config, rngs, vae, photographs)
    if file:
        with whole_file(file) as temporary:
            save_file(tensors, temporary)
    return tensors


def _render_pool(
    config: PairsConfig,
    rngs: Sequence[np.random.Generator],
    vae: AutoencoderKLWan | None,
    photographs: Mapping[str, float],
) -> dict[str, torch.Tensor]:
    pairs = [render_pair(config, rng, photographs) for rng in progress(rngs, total=len(rngs), unit="pair")]
    if vae is None:
        return {name: torch.stack(clips) for name, clips in zip(("hr", "lr"), zip(*pairs, strict=True), strict=True)}
    padded = [pad(lr, (0, config.size - lr.shape[3], 0, config.size - lr.shape[2])) for _, lr in pairs]
    tensors = {
        "hr": torch.stack([hr for hr, _ in pairs]),
        "lr": torch.stack(padded),
        "lr_size": torch.tensor([lr.shape[2:] for _, lr in pairs]),
    }
    return tensors | {
        "hr_latents": _encode(vae, len(pairs), lambda chunk: signed(tensors["hr"][chunk]), "HR latent"),
        "lr_latents": _encode(vae, len(pairs), lambda chunk: lr_resized(tensors, chunk), "LR latent"),
    }


def lr_resized(tensors: Mapping[str, torch.Tensor], pairs: Sequence[int]) -> torch.Tensor:
    """Return the LR clips of some pairs, enlarged to the HR's size: (B, 3, F, H, W) float32 in [-1, 1]."""
    sizes, (height, width) = tensors["lr_size"][pairs].tolist(), tensors["hr"].shape[-2:]
    return torch.cat(
        [enlarge(tensors["lr"][[i], ..., :h, :w], (height, width)) for i, (h, w) in zip(pairs, sizes, strict=True)]
    )


def _read_pool(file: Path) -> dict[str, torch.Tensor]:
    advice = "remove it, and it is rendered anew"
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise file_error(f"{file}: cannot be read ({error}); {advice}", error) from error
    check_tensors(tensors, file, advice)
    return tensors


@torch.no_grad()
def _encode(
    vae: AutoencoderKLWan, count: int, pixels: Callable[[list[int]], torch.Tensor], unit: str, batch: int = 8
) -> torch.Tensor:
    """Return the latents of pairs 0 to ``count`` - 1, whose ``pixels`` are computed a few at a time."""
    latents = []
    for chunk in progress(torch.arange(count).split(batch), total=-(-count // batch), unit=f"batch of {unit}"):
        with torch.autocast(vae.device.type, torch.bfloat16):
            latents.append(encode_video(vae, pixels(chunk.tolist()).to(vae.device)).cpu())
    return torch.cat(latents)


def _cache_file(config: PairsConfig, drawn_by: int | str, vae: AutoencoderKLWan | None) -> Path | None:
    """Named by what the pool depends on: configuration, draws, the encoder's weights, and how pairs are rendered."""
    if not config.cache:
        return None
    ranges = [asdict(load_degradation(name)) for name in config.degradations]
    data = asdict(config) | {"cache": "", "degradations": ranges}
    encoder = encoder_digest(vae) if vae else None
    key = json.dumps([VERSION, data, MARGIN, drawn_by, encoder], default=str).encode()
    return Path(config.cache) / f"pairs-{hashlib.sha256(key).hexdigest()[:16]}.safetensors"
