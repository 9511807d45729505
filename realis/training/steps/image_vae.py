"""The training step of an image VAE."""

import torch
from diffusers import AutoencoderKL

from realis.data.batch import Batch, clips_of, images_of
from realis.losses.charbonnier import charbonnier
from realis.metrics.psnr import psnr
from realis.training.flow import draw_noise
from realis.training.settings import Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class ImageVaeStep(TrainingStep):
    """Reconstruct frames from latents drawn from their posterior, which a small weight holds back from growing (the first
    stage of latent diffusion, Rombach et al. 2022, without its perceptual and adversarial losses).

    Args:
        vae: what is trained.
        kl_weight: of the divergence from the unit normal distribution, for each pixel.
        seed: of the latents' noise.
    """

    def __init__(self, vae: AutoencoderKL, kl_weight: float, seed: int, precision: Precision) -> None:
        super().__init__(precision)
        self.vae, self.kl_weight, self.seed = vae, kl_weight, seed

    def losses(self, batch: Batch) -> Tensors:
        images = images_of(batch["hr"])
        posterior = self.vae.encode(images).latent_dist
        noise = images_of(draw_noise(clips_of(posterior.mean, len(batch["hr"])), batch["number"], self.seed))
        decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample
        l1, l2 = charbonnier(decoded, images), (decoded.float() - images).square().mean()
        kl = posterior.kl().mean() / images[0, 0].numel()
        return {"loss": l1 + 2 * l2 + self.kl_weight * kl, "l1": l1.detach(), "kl": kl.detach(), "psnr": psnr(l2, 2)}

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the frames from the means of their latents, (B, 3, F, H, W)."""
        images = images_of(batch["hr"])
        return clips_of(self.vae.decode(self.vae.encode(images).latent_dist.mean).sample, len(batch["hr"]))
