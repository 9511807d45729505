"""Pairs of high- and low-resolution clips rendered from moving photographs, with the latents of both.

Small models need many steps over little data, so a pool of pairs is made once and kept; every batch then picks from
it by (seed, global sample number).
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import realis
from realis.core.errors import file_error
from realis.core.files import whole_file
from realis.core.log import progress
from realis.data.batch import Batch
from realis.data.pairs_config import DataConfig
from realis.data.photographs import training_clip
from realis.data.randomness import sample_rng
from realis.degradation.presets import load_degradation
from realis.degradation.second_order import MARGIN, degraded_pair, whole_margin
from realis.models.wan.latents import encode_video, encoder_digest
from realis.ops.finite import check_tensors
from realis.ops.pixels import signed, stack_uint8
from realis.ops.resize import resize

PACKAGE = Path(realis.__file__).parent
RENDERING_SOURCES = ("data/photographs.py", "degradation/*.py", "ops/*.py")


@dataclass(frozen=True)
class PairPool:
    """Tensors of N pairs.

    ``hr`` and ``lr`` are (N, 3, F, H, W) uint8, the LR resized to the size of the HR; ``hr_latents`` and
    ``lr_latents`` (N, C, f, h, w) float32, normalised. ``seed`` decides which pair a sample picks.
    """

    tensors: Batch
    seed: int

    def __len__(self) -> int:
        return len(self.tensors["hr"])

    def batches(self, plan: Iterable[range]) -> Generator[Batch, None, None]:
        """For each range of sample numbers the pairs that they pick, and ``number`` (B,) itself."""
        for numbers in plan:
            picks = [int(sample_rng(self.seed, n, "pair").integers(len(self))) for n in numbers]
            batch = {name: tensor[picks] for name, tensor in self.tensors.items()}
            yield batch | {"number": torch.tensor(list(numbers))}


def render_pair(config: DataConfig, seed: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pair ``number`` of the pool: HR and LR resized to it, each (3, F, H, W) uint8."""
    rng = sample_rng(seed, number, "pair")
    scale = float(rng.choice(config.scales))
    margin = whole_margin(scale)
    degradation = load_degradation(str(rng.choice(config.degradations)))
    wide = training_clip(rng, config.frames + 2 * margin.frames, config.size + 2 * margin.pixels)
    parameters = degradation.sample(rng, len(wide), tuple(wide.shape[2:]), scale)
    hr, lr = degraded_pair(wide, parameters, margin)
    return stack_uint8(hr), stack_uint8(resize(lr, (config.size, config.size)))


def pair_pool(config: DataConfig, seed: int, vae: AutoencoderKLWan) -> PairPool:
    """Render the pool, or read it from ``config.cache`` if the same one was rendered before.

    Raises:
        InputError: what is there is damaged, or nothing can be written there.
    """
    file = _cache_file(config, seed, vae)
    if file and file.is_file():
        return PairPool(_read_pool(file), seed)
    pairs = [render_pair(config, seed, n) for n in progress(range(config.count), total=config.count, unit="pair")]
    tensors = {"hr": torch.stack([hr for hr, _ in pairs]), "lr": torch.stack([lr for _, lr in pairs])}
    for name in ("hr", "lr"):
        tensors[f"{name}_latents"] = torch.cat(list(_encode(vae, tensors[name], f"{name} latent")))
    if file:
        with whole_file(file) as temporary:
            save_file(tensors, temporary)
    return PairPool(tensors, seed)


def _read_pool(file: Path) -> Batch:
    advice = "remove it, and it is rendered anew"
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise file_error(f"{file}: cannot be read ({error}); {advice}", error) from error
    check_tensors(tensors, file, advice)
    return tensors


@torch.no_grad()
def _encode(vae: AutoencoderKLWan, clips: torch.Tensor, unit: str, batch: int = 8) -> Iterator[torch.Tensor]:
    device = vae.device
    for chunk in progress(clips.split(batch), total=-(-len(clips) // batch), unit=f"batch of {unit}"):
        with torch.autocast(device.type, torch.bfloat16):
            yield encode_video(vae, signed(chunk.to(device))).cpu()


def _cache_file(config: DataConfig, seed: int, vae: AutoencoderKLWan) -> Path | None:
    """Named by what the pool depends on: configuration, seed, the encoder's weights, and this package's sources."""
    if not config.cache:
        return None
    ranges = [asdict(load_degradation(name)) for name in config.degradations]
    data = asdict(config) | {"cache": "", "degradations": ranges}
    key = hashlib.sha256(json.dumps([data, MARGIN, seed, encoder_digest(vae)], default=str).encode())
    for source in sorted(file for pattern in RENDERING_SOURCES for file in PACKAGE.glob(pattern)):
        key.update(source.read_bytes())
    return Path(config.cache) / f"pairs-{key.hexdigest()[:16]}.safetensors"
