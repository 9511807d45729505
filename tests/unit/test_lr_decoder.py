"""The LR-conditioned decoder: starts as the LR video, sees the right frames, leaves no pattern, refuses what does not
fit."""

import pytest
import torch

from realis.models.hub import PRESETS
from realis.models.lr_decoder import LrDecoder, fade_on_flat_areas


def random_decoder():
    torch.manual_seed(0)
    decoder = LrDecoder(4, 8, 1)
    torch.nn.init.normal_(decoder.conv_out.weight, std=0.1)
    return decoder


def test_starts_as_the_lr_video():
    lr = torch.rand(2, 3, 5, 16, 24)
    assert torch.equal(LrDecoder(4, 8, 1)(torch.randn(2, 4, 2, 2, 3), lr), lr)


@pytest.mark.parametrize("frame", range(9))
def test_a_latent_frame_reaches_the_frames_it_covers(frame):
    decoder, lr = random_decoder(), torch.rand(1, 3, 9, 16, 16)
    latents = torch.randn(1, 4, 3, 2, 2)
    changed = latents.clone()
    covering = (frame + 3) // 4  # Wan's VAE: the first frame alone, then four by four
    changed[:, :, covering] += 1
    moved = (decoder(changed, lr) - decoder(latents, lr)).abs().amax(dim=(0, 1, 3, 4)) > 0
    assert moved.tolist() == [(i + 3) // 4 == covering for i in range(9)]


def test_lr_window_is_one_frame_each_way():
    decoder, latents, lr = random_decoder(), torch.randn(1, 4, 3, 2, 2), torch.rand(1, 3, 9, 16, 16)
    changed = lr.clone()
    changed[:, :, 4] += 0.5
    residual = decoder(latents, changed) - changed - (decoder(latents, lr) - lr)
    moved = residual.abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert moved.tolist() == [3 <= i <= 5 for i in range(9)]


def test_no_pattern_on_flat_clips():
    decoder = LrDecoder.from_pretrained(PRESETS / "tiny" / "lr_decoder", torch_dtype=torch.float32)
    lr = (torch.tensor([1, 64, 250]) / 127.5 - 1).view(-1, 1, 1, 1, 1).expand(-1, 3, 1, 128, 128)
    with torch.no_grad():
        decoded = 127.5 * decoder(torch.zeros(3, 16, 1, 16, 16), lr)[..., 32:-32, 32:-32]  # away from the border
    for period in (2, 4, 8):
        phases = decoded.unflatten(4, (-1, period)).unflatten(3, (-1, period)).mean(dim=(3, 5))
        assert phases.flatten(2).std(dim=2).max() < 0.01  # grey levels


def test_detail_fades_only_where_the_lr_frame_has_none():
    torch.manual_seed(0)
    dots, level = 0.01 * torch.randn(1, 3, 4, 4).repeat(1, 1, 16, 16), 0.1
    flat, slope = torch.full((1, 3, 64, 64), 0.9), torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    for lr in (flat, slope):
        faded = fade_on_flat_areas(dots + level, lr)[..., 16:-16, 16:-16]  # away from the border
        torch.testing.assert_close(faded, (dots.mean(dim=(2, 3), keepdim=True) + level).expand_as(faded))
    texture = flat + 2 / 127.5 * torch.randn(flat.shape)  # of two grey levels
    kept = fade_on_flat_areas(dots, texture) - dots
    assert kept.std() < 0.05 * dots.std()


@pytest.mark.parametrize("shape", [(1, 3, 8, 16, 16), (1, 3, 9, 24, 16), (1, 1, 9, 16, 16)])
def test_refuses_what_does_not_fit(shape):
    with pytest.raises(ValueError, match="lr: got shape"):
        LrDecoder(4, 8, 1)(torch.randn(1, 4, 3, 2, 2), torch.zeros(shape))


def test_gradients_reach_every_parameter():
    decoder = random_decoder()
    torch.nn.init.normal_(decoder.blocks[0].conv2.weight, std=0.1)
    decoder(torch.randn(1, 4, 3, 2, 2), torch.rand(1, 3, 9, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())
