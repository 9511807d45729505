"""The LR-conditioned decoder: starts as the LR video, sees the right frames, refuses what does not fit."""

import pytest
import torch

from realis.models.lr_decoder import LrDecoder


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


@pytest.mark.parametrize("shape", [(1, 3, 8, 16, 16), (1, 3, 9, 24, 16), (1, 1, 9, 16, 16)])
def test_refuses_what_does_not_fit(shape):
    with pytest.raises(ValueError, match="lr: got shape"):
        LrDecoder(4, 8, 1)(torch.randn(1, 4, 3, 2, 2), torch.zeros(shape))


def test_gradients_reach_every_parameter():
    decoder = random_decoder()
    torch.nn.init.normal_(decoder.blocks[0].conv2.weight, std=0.1)
    decoder(torch.randn(1, 4, 3, 2, 2), torch.rand(1, 3, 9, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())
