"""HR-Loss: what each term equals, its gradient, and that nothing makes it infinite."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realis.core.errors import InputError
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss, wavelet_loss
from realis.ops.hog import hog

ONES = (1.0, 1.0, 1.0, 1.0)


def latents(*shape, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=g).to(dtype) for _ in range(3)]


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 23), w=st.integers(1, 23), levels=st.integers(1, 3),
    filters=st.sampled_from(["haar", "db2", "sym4"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_wavelet_weights_of_one_give_the_plain_loss_at_any_size(h, w, levels, filters, seed):
    residual = torch.randn(2, 3, h, w, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    loss = wavelet_loss(residual, filters, levels, ONES)
    torch.testing.assert_close(loss, residual.square().mean(), rtol=1e-9, atol=0)


def test_the_papers_weights_double_everything_but_the_low_band():
    """Eq. 4 with (1, 2, 2, 2): 2 |d|^2 - |LL|^2."""
    residual = torch.randn(1, 2, 8, 10, dtype=torch.float64)
    low = residual.unfold(-2, 2, 2).unfold(-2, 2, 2).sum((-1, -2)) / 2
    wanted = (2 * residual.square().sum() - low.square().sum()) / residual.numel()
    torch.testing.assert_close(wavelet_loss(residual, "haar", 1, HrLossConfig().band_weights), wanted)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    v, target, z = latents(2, 4, 2, 16, 12)
    sigma = torch.tensor([0.3, 0.8])
    losses = HrLoss(HrLossConfig(rec=0.5, wavelet=2.0, hog=3.0))(v, target, z, sigma)
    assert set(losses) == {"loss", "rec", "wavelet", "hog"}
    torch.testing.assert_close(losses["loss"], 0.5 * losses["rec"] + 2 * losses["wavelet"] + 3 * losses["hog"])
    torch.testing.assert_close(losses["rec"], (v - target).square().mean())
    torch.testing.assert_close(losses["hog"], (hog(v) - hog(target)).square().mean())


def test_a_term_of_weight_zero_is_left_out():
    v, target, z = latents(1, 2, 1, 4, 4)  # too small for a HOG block
    losses = HrLoss(HrLossConfig(wavelet=0, hog=0))(v.bfloat16(), target, z, torch.tensor([0.5]))
    assert set(losses) == {"loss", "rec"} and losses["loss"].dtype == torch.float32
    torch.testing.assert_close(losses["loss"], (v.bfloat16().float() - target).square().mean())
    with pytest.raises(ValueError, match="HOG block"):
        HrLoss(HrLossConfig())(v, target, z, torch.tensor([0.5]))


def test_the_clean_domain_compares_estimates_of_the_clean_latent():
    x0, noise, error = latents(2, 4, 2, 16, 12)
    sigma = torch.tensor([0.2, 0.9])
    s = sigma.view(-1, 1, 1, 1, 1)
    z, target = (1 - s) * x0 + s * noise, noise - x0
    losses = HrLoss(HrLossConfig(domain="clean"))(target + error, target, z, sigma)
    estimate = x0 - s * error
    torch.testing.assert_close(losses["hog"], (hog(estimate) - hog(x0)).square().mean(), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        losses["wavelet"], wavelet_loss(s * error, "haar", 1, (1, 2, 2, 2)), rtol=1e-4, atol=1e-7
    )
    torch.testing.assert_close(losses["rec"], error.square().mean())


@pytest.mark.parametrize("binning", ["soft", "hard"])
def test_gradients_are_those_of_finite_differences(binning):
    x = torch.randn(2, 9, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: hog(x, 4, 2, 9, binning), (x,))
    assert torch.autograd.gradcheck(lambda x: wavelet_loss(x, "db2", 2, (1, 2, 3, 4)), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("binning", ["soft", "hard"])
@pytest.mark.parametrize("domain", ["velocity", "clean"])
@pytest.mark.parametrize("case", ["zeros", "constants", "equal", "tiny", "small", "huge"])
def test_loss_and_gradient_are_finite(case, domain, binning, dtype):
    v, target, z = latents(1, 4, 2, 8, 12)
    made = {
        "zeros": (0 * v, 0 * v), "constants": (0 * v + 1, 0 * v - 2), "equal": (v, v.clone()),
        "tiny": (1e-18 * v, 1e-22 * target), "small": (1e-11 * v, 1e-13 * target), "huge": (1e4 * v, 1e4 * target),
    }  # fmt: skip
    velocity, target = (x.to(dtype) for x in made[case])
    velocity.requires_grad_()
    torch.set_flush_denormal(False)  # flushing would hide what a tiny gradient becomes
    losses = HrLoss(HrLossConfig(domain=domain, binning=binning))(velocity, target, z.to(dtype), torch.tensor([1e-3]))
    losses["loss"].backward()
    torch.set_flush_denormal(True)
    assert all(value.isfinite() for value in losses.values()) and velocity.grad.isfinite().all()
    assert case != "equal" or losses["loss"] == 0


@pytest.mark.parametrize(("cell", "left_out"), [(2, 0), (4, 1)])
def test_of_720_pixels_cells_of_2_leave_no_row_out(cell, left_out):
    """They are 90 latent rows. Cells of 4 end at row 88, whose gradients reach one row further."""
    x = torch.randn(90, 160, generator=torch.Generator().manual_seed(0), requires_grad=True)
    hog(x, cell).square().sum().backward()
    assert int((x.grad.abs().sum(dim=1) == 0).sum()) == left_out


def test_autocast_changes_nothing():
    v, target, z = latents(1, 4, 2, 8, 12)
    loss = HrLoss(HrLossConfig())
    plain = loss(v, target, z, torch.tensor([0.5]))
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss(v, target, z, torch.tensor([0.5]))
    assert all(torch.equal(plain[name], cast[name]) for name in plain)


@pytest.mark.parametrize(
    "wrong", [{"filters": "bior2.2"}, {"filters": "dmey"}, {"filters": "x"}, {"rec": -1.0}, {"levels": 0}, {"bins": 1},
              {"rec": 0, "wavelet": 0, "hog": 0}, {"band_weights": (1, 2, 2, -1)}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match=r"got .* wanted"):
        HrLossConfig(**wrong)
