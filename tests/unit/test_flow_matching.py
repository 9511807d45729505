"""Rectified flow: the convention v = eps - x0, noise levels, samplers that solve a known flow."""

import pytest
import torch

from realis.diffusion.rectified_flow import SAMPLERS, add_noise, draw_sigma, sampling_sigmas, shift_sigmas
from realis.ops.noise import noise_fields


def test_convention():
    x0, noise, sigma = torch.randn(3, 4, 2, 2, 2), torch.randn(3, 4, 2, 2, 2), torch.tensor([0.0, 0.3, 1.0])
    z = add_noise(x0, noise, sigma)
    s = sigma.view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(z - s * (noise - x0), x0)
    assert torch.equal(z[0], x0[0]) and torch.equal(z[2], noise[2])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 8])
def test_samplers_follow_a_straight_flow_to_its_end(sampler, steps):
    """Towards one clean latent the velocity is (z - x0) / sigma: straight lines, exact at any number of steps."""
    x0, noise = torch.randn(2, 4, 1, 2, 2), torch.randn(2, 4, 1, 2, 2)
    told = []

    def velocity(z, sigma):
        told.append(sigma)
        return (z - x0) / sigma.float().view(-1, 1, 1, 1, 1)

    result = SAMPLERS[sampler](velocity, noise, sampling_sigmas(steps, 3.0))
    torch.testing.assert_close(result, x0, atol=2e-2 if sampler == "unipc" else 1e-5, rtol=0)
    assert len(told) == steps
    assert all(sigma.shape == (2,) for sigma in told)


def test_sampling_sigmas_are_shifted_once():
    """diffusers' own set_timesteps(4) with shift 5 gives 1.0 .9097 .7173 .0244 0: the low end shifted twice."""
    torch.testing.assert_close(sampling_sigmas(4, 5.0), torch.tensor([1.0, 15 / 16, 5 / 6, 5 / 8, 0.0]))


def test_training_sigmas():
    g = torch.Generator().manual_seed(0)
    draws = torch.stack([draw_sigma(g, 2.0, 0.0, 1.0, 0.25) for _ in range(4000)])
    assert (draws == 1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    rest = draws[draws < 1]
    assert rest.median().item() == pytest.approx(shift_sigmas(torch.tensor(0.5), 2.0).item(), abs=0.02)


def test_noise_fields_are_global():
    whole, part = noise_fields(3, range(6), 2, 4, 5), noise_fields(3, range(4, 6), 2, 4, 5)
    first, second = next(whole), next(whole)
    assert torch.equal(next(part), first[:, 4:])
    assert torch.equal(next(part), second[:, 4:])
    assert not torch.equal(first, second)
    assert not torch.equal(next(noise_fields(4, range(6), 2, 4, 5)), first)
    assert first.std().item() == pytest.approx(1, abs=0.15)


def test_euler_levels_are_where_the_latents_are():
    devices = []

    def velocity(z, sigma):
        devices.append(sigma.device)
        return torch.zeros_like(z)

    SAMPLERS["euler"](velocity, torch.zeros(1, 4, 1, 2, 2, device="meta"), sampling_sigmas(2, 3.0))
    assert {d.type for d in devices} == {"meta"}
