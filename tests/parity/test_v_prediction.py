"""v-prediction beside diffusers' schedulers: the same timesteps, samples and targets."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, configuration_utils

from realis.diffusion.v_prediction import NoiseSchedule, add_noise, clean_estimate, sample, velocity

CONFIG = {
    "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip


def noises(shape, generator):
    while True:
        yield torch.randn(shape, generator=generator)


@pytest.mark.parametrize("count", [7, 10, 30])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize(("sampler", "scheduler"), [("ddim", DDIMScheduler), ("ddpm", DDPMScheduler)])
def test_samples_are_those_of_diffusers(sampler, scheduler, spacing, count):
    config = CONFIG | {"timestep_spacing": spacing}
    theirs = scheduler.from_config(config)
    theirs.set_timesteps(count)
    steps = NoiseSchedule(config).steps(count, sampler)
    assert [step.timestep for step in steps] == theirs.timesteps.tolist()
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    model = lambda z, t: torch.tanh(z + t / 1000)  # noqa: E731 - any function of both
    expected, generator = z, torch.Generator().manual_seed(0)
    for t in theirs.timesteps:
        expected = theirs.step(model(expected, t), t, expected, generator=generator).prev_sample
    ours = sample(model, z, steps, noises(z.shape, torch.Generator().manual_seed(0)))
    assert torch.allclose(ours, expected, atol=2e-6)


def test_keys_that_are_not_the_schedulers_are_left_alone(monkeypatch):
    monkeypatch.setattr(configuration_utils.logger, "warning", pytest.fail)
    steps = NoiseSchedule(CONFIG | {"steps": 8, "variance_type": "fixed_small", "_class_name": "DDPMScheduler"})
    assert torch.equal(steps.alphas, NoiseSchedule(CONFIG).alphas)


def test_targets_are_those_of_diffusers():
    schedule, theirs = NoiseSchedule(CONFIG), DDIMScheduler.from_config(CONFIG)
    x0, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([0, 400, 999])
    alpha = schedule.alphas[timesteps]
    assert torch.allclose(add_noise(x0, noise, alpha), theirs.add_noise(x0, noise, timesteps), atol=1e-6)
    assert torch.allclose(velocity(x0, noise, alpha), theirs.get_velocity(x0, noise, timesteps), atol=1e-6)


def test_the_clean_estimate_lies_in_the_velocity():
    x0, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in NoiseSchedule(CONFIG).steps(3, "ddim"):
        alpha = torch.tensor([step.alpha])
        z, v = add_noise(x0, noise, alpha), velocity(x0, noise, alpha)
        assert torch.allclose(step.clean(z, v), x0, atol=1e-5)


def test_clean_estimates_are_those_of_diffusers():
    """Of a batch at different timesteps."""
    schedule, theirs = NoiseSchedule(CONFIG), DDIMScheduler.from_config(CONFIG)
    theirs.set_timesteps(1000)
    z, v = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([0, 400, 999])
    expected = [theirs.step(v[i], t, z[i]).pred_original_sample for i, t in enumerate(timesteps.tolist())]
    got = clean_estimate(z, v, schedule.alphas[timesteps])
    torch.testing.assert_close(got, torch.stack(expected), atol=1e-6, rtol=0)
