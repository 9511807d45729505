"""An image VAE that begins at principal components, and its training step."""

import copy

import pytest
import torch

from realis.data.photographs import photograph
from realis.tiny.image_vae_init import initialise_image_encoder, new_image_vae, scale_latents
from realis.training.steps.image_vae import ImageVaeStep


@pytest.fixture(scope="module")
def images():
    crops = [
        photograph("astronaut.png")[:, y : y + 64, x : x + 64] for y in range(0, 448, 64) for x in range(0, 448, 64)
    ]
    return 2 * torch.stack(crops) - 1


@pytest.fixture(scope="module")
def vae(images):
    torch.manual_seed(0)
    vae = new_image_vae((12, 16, 20), 4)
    initialise_image_encoder(vae, images)
    return vae


@torch.no_grad()
def test_the_encoder_starts_at_principal_components(vae, images):
    """Its latents are an orthonormal projection of 4x4 pixels, which keeps what 4 of 48 numbers can."""
    latents = vae.encode(images).latent_dist.mean
    blocks = torch.nn.functional.unfold(images, 4, stride=4)
    blocks, values = (x.transpose(1, 2).reshape(-1, x.shape[1]).double() for x in (blocks, latents.flatten(2)))
    fitted = values @ torch.linalg.lstsq(values, blocks).solution
    best = torch.linalg.eigvalsh(blocks.T @ blocks).sort(descending=True).values[4:].sum()
    assert (fitted - blocks).square().sum() < 1.02 * best
    assert (latents * vae.config.scaling_factor).std().item() == pytest.approx(1, abs=0.02)  # the last norm takes some


@torch.no_grad()
def test_scaled_latents_decode_to_the_same(vae, images):
    spread = copy.deepcopy(vae)
    spread.quant_conv.weight.mul_(3)
    spread.quant_conv.bias.mul_(3)
    scaled = copy.deepcopy(spread)
    scale_latents(scaled, images)
    before, after = (x.encode(images).latent_dist for x in (spread, scaled))
    assert torch.allclose((after.mean * vae.config.scaling_factor).std((0, 2, 3)), torch.ones(4), atol=1e-4)
    grown = after.mean.std((0, 2, 3), keepdim=True) / before.mean.std((0, 2, 3), keepdim=True)
    assert torch.allclose(after.std / before.std, grown.expand_as(after.std), rtol=1e-3)
    assert torch.allclose(scaled.decode(after.mean).sample, spread.decode(before.mean).sample, atol=1e-3)


def test_a_latent_is_drawn_by_the_number_of_its_sample(vae, images):
    step = ImageVaeStep(vae, kl_weight=1e-6, seed=0, precision="no")
    hr = images[:4].view(2, 2, 3, 64, 64).transpose(1, 2)
    both = step({"hr": hr, "number": torch.tensor([3, 7])})
    alone = [step({"hr": hr[[i]], "number": torch.tensor([n])}) for i, n in ((0, 3), (1, 7))]
    assert both["loss"].item() == pytest.approx(sum(x["loss"].item() for x in alone) / 2, rel=1e-4)
    assert both["l1"] != step({"hr": hr, "number": torch.tensor([3, 8])})["l1"]
    both["loss"].backward()
    assert all(p.grad is not None for p in vae.parameters())
    assert step({"hr": hr, "number": torch.tensor([3, 7])}, "sample").shape == hr.shape
