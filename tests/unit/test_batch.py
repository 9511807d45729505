"""From the pixels that a source gives to what a training step sees: as at inference."""

import pytest
import torch

from realis.data.batch import enlarge
from realis.data.pairs import lr_resized, pair_pool
from realis.data.pairs_config import DataConfig
from realis.models.hub import PRESETS
from realis.models.wan.loading import Wan
from realis.ops.pixels import signed
from realis.tiling.plan import plan_tiles
from realis.training.latents import LatentCodec
from realis.upscaling.app.frames import as_tensor
from realis.upscaling.tiled import TiledRestoration
from realis.video.source import TimedFrame


@pytest.fixture(scope="module")
def codec():
    return LatentCodec(Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu").vae, "no")


def clip(seed, frames, height, width):
    return torch.randint(0, 256, (3, frames, height, width), generator=torch.Generator().manual_seed(seed)).byte()


class Recorder:
    """A window of a latent method that keeps the LR of each tile."""

    cell, steps, device = 8, 1, torch.device("cpu")

    def __init__(self):
        self.seen = []

    def encode(self, lr):
        self.seen.append(lr.clone())
        return torch.zeros(1, 16, 2, lr.shape[3] // 8, lr.shape[4] // 8)

    def condition(self, lr_latents):
        return lr_latents

    def velocity(self, condition):
        return None

    def sample(self, velocity, noise):
        return noise

    def decode(self, latents, lr):
        return self.seen[-1]


@pytest.mark.parametrize("scale", [4, 2, 1, 1.5])
def test_the_lr_of_training_is_that_of_inference_to_the_last_bit(scale):
    """From the 8-bit frames of a file: enlarged in float, clamped, never rounded."""
    size = (96, 144)
    lr = torch.stack([clip(seed, 5, round(size[0] / scale), round(size[1] / scale)) for seed in range(2)])
    resized = enlarge(lr, size)
    for one, wanted in zip(lr, resized, strict=True):
        decoded = [TimedFrame(image.numpy(), 255, None, 0, 1) for image in one.permute(1, 2, 3, 0)]
        frames, window = torch.stack([as_tensor(frame) for frame in decoded]), Recorder()
        noise = torch.zeros(16, 2, 12, 18)
        TiledRestoration(window, [plan_tiles(size, None, 0, 16)]).restore(frames, size, noise, lambda share: None)
        assert torch.equal(window.seen[0][0], wanted)
    assert resized.dtype == torch.float32 and resized.min() == -1 and resized.max() == 1
    if scale > 1:
        levels = (resized + 1) * 127.5
        assert (levels - levels.round()).abs().mean() > 0.1


def test_a_batch_is_encoded_on_the_device_from_eight_bits_and_float_thereafter(codec):
    hr, lr = clip(0, 5, 64, 96)[None], clip(1, 5, 16, 24)[None]
    batch = {"number": torch.tensor([3]), "hr": hr, "lr": lr}
    encoded = codec.encode(batch)
    assert encoded.keys() == {"number", "hr", "lr_resized", "hr_latents", "lr_latents"}
    assert torch.equal(encoded["lr_resized"], enlarge(lr, (64, 96)))
    assert torch.equal(encoded["hr"], signed(hr))
    assert torch.equal(encoded["hr_latents"], codec.latents_of(signed(hr)))
    assert torch.equal(encoded["lr_latents"], codec.latents_of(enlarge(lr, (64, 96))))
    held = codec.encode(batch | {"hr_latents": torch.ones(1, 16, 2, 8, 12).half()})
    assert held["hr_latents"].dtype == torch.float32 and (held["hr_latents"] == 1).all()


def test_pairs_of_several_scales_go_into_one_batch_each_enlarged_from_its_own_pixels(codec, tmp_path):
    config = DataConfig(count=9, frames=5, size=32, scales=(4, 2, 1), degradations=("bi",), cache=str(tmp_path))
    pool = pair_pool(config, 0, codec.vae)
    (batch,) = pool.batches([range(6)])
    assert batch.keys() == {"number", "hr", "lr_resized", "hr_latents", "lr_latents"}
    picks = [pool.pick(number) for number in range(6)]
    sizes = {tuple(pool.tensors["lr_size"][i].tolist()) for i in picks}
    assert len(sizes) > 1
    for i, resized, hr in zip(picks, batch["lr_resized"], batch["hr"], strict=True):
        h, w = pool.tensors["lr_size"][i].tolist()
        assert not pool.tensors["lr"][i, ..., h:, :].any() and not pool.tensors["lr"][i, ..., w:].any()
        assert torch.equal(resized, enlarge(pool.tensors["lr"][i : i + 1, ..., :h, :w], (32, 32))[0])
        assert torch.equal(hr, pool.tensors["hr"][i])
    encoded = codec.encode(batch)
    assert torch.equal(encoded["hr"], signed(batch["hr"]))  # all else is there already
    assert all(torch.equal(x, batch[name]) for name, x in encoded.items() if name != "hr")
    wanted = codec.latents_of(lr_resized(pool.tensors, range(9)))
    assert (pool.tensors["lr_latents"] - wanted).abs().mean() < 0.02  # a pool is encoded in bfloat16
    read = pair_pool(config, 0, codec.vae)
    assert all(torch.equal(x, read.tensors[name]) for name, x in pool.tensors.items())
