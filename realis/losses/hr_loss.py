"""HR-Loss: the training objective on the velocity in latent space (RealisVSR, Eqs. 3 to 6).

    L_HR  = L_REC + L_WLF + L_HOG
    L_REC = |v - (eps - x0)|^2                             Eq. 3 prints another sign: a misprint, see Eqs. 4 and 5
    L_WLF = sum_k w_k |f_k(v) - f_k(eps - x0)|^2           k in LL, LH, HL, HH
    L_HOG = |HOG(v) - HOG(eps - x0)|^2

Squares are means over the elements of what is compared; those of the sub-bands are divided by the number of elements of
the latent, so that weights of 1 give L_REC, as the paper's supplement says (Parseval).
"""

import torch
from torch import nn

from realis.losses.config import HrLossConfig
from realis.ops.hog import hog
from realis.ops.wavelet import BANDS, dwt2


def wavelet_loss(
    residual: torch.Tensor, filters: str, levels: int, weights: tuple[float, float, float, float]
) -> torch.Tensor:
    """Return the weighted energy of the sub-bands of ``residual`` (..., H, W) per element of it (Eq. 4).

    The transform is linear, so that the difference of two sub-bands is the sub-band of the difference. Only the last
    of several levels has an LL band: that of the others is what the next level decomposes.
    """
    weight_of = dict(zip(BANDS, weights, strict=True))
    energy, low = residual.new_zeros(()), residual
    for _ in range(levels):
        bands = dwt2(low, filters)
        low = bands.pop("LL")
        energy = energy + sum(weight_of[name] * band.square().sum() for name, band in bands.items())
    return (energy + weight_of["LL"] * low.square().sum()) / residual.numel()


class HrLoss(nn.Module):
    """HR-Loss in float32, whatever the inputs' dtype and whether autocast is on."""

    def __init__(self, config: HrLossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, velocity: torch.Tensor, target: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Compare a predicted velocity with ``eps - x0``.

        Args:
            velocity, target: (B, C, f, h, w).
            noisy: (B, C, f, h, w), the noisy latents that the velocity was predicted from.
            sigma: (B,), their noise levels, in [0, 1].

        Returns:
            scalars: ``loss``, the weighted sum, and the unweighted terms, detached: ``rec``, ``wavelet``, ``hog``.

        Raises:
            ValueError: a latent frame smaller than a HOG block.
        """
        c = self.config
        with torch.autocast(velocity.device.type, enabled=False):
            v, v_true = velocity.float(), target.float()
            terms = {"rec": (v - v_true).square().mean()}
            x, x_true = v, v_true
            if c.domain == "clean":
                s, z = sigma.float().view(-1, 1, 1, 1, 1), noisy.float()
                x, x_true = z - s * v, z - s * v_true
            if c.wavelet:
                terms["wavelet"] = wavelet_loss(x - x_true, c.filters, c.levels, c.band_weights)
            if c.hog:
                features = (hog(part, c.cell, c.block, c.bins, c.binning) for part in (x, x_true))
                terms["hog"] = (next(features) - next(features)).square().mean()
            weight_of = {"rec": c.rec, "wavelet": c.wavelet, "hog": c.hog}
            loss = torch.stack([weight_of[name] * term for name, term in terms.items()]).sum()
        return {"loss": loss} | {name: term.detach() for name, term in terms.items()}
