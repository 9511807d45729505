"""The training step of the LR-conditioned decoder, alone or together with the CPC whose samples it decodes."""

import torch

from realis.data.batch import Batch
from realis.data.randomness import sample_rng
from realis.losses.charbonnier import charbonnier
from realis.metrics.psnr import psnr
from realis.models.cpc.controlled import ControlledWan
from realis.models.lr_decoder import LrDecoder
from realis.training.flow import draw_noise
from realis.training.settings import LatentSource, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class LrDecoderStep(TrainingStep):
    """Reconstruct the HR clip from the LR clip and the latents that the model samples under its control.

    Args:
        decoder: what is trained.
        cpc: the model, which samples as at inference. If its CPC requires gradients it is trained too,
            by the decoder's loss through the sample and by the sampled latents' error; as long as the decoder sees the
            oracle, by the latter alone.
        source: the latents that are decoded: ``sampled``; or, to measure what those bring, those of the LR clip
            (``lr``), or zeros (``none``).
        oracle_samples: the first samples, which see the HR clip's own latents instead.
        frames: how many frames of each clip are decoded, drawn anew for every batch; 0: all. A step over fewer costs
            less, and frames of a clip are much alike.
        samples_per_step: samples of an optimizer step, which all decode the same frames.
        latent_weight: of the squared error of the sampled latents, where the CPC is trained: it keeps them latents.
        seed: of the sampled latents' noise, and of the frames.
    """

    def __init__(
        self,
        decoder: LrDecoder,
        cpc: ControlledWan,
        source: LatentSource,
        oracle_samples: int,
        frames: int,
        samples_per_step: int,
        latent_weight: float,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.decoder, self.cpc, self.source = decoder, cpc, source
        self.oracle_samples, self.frames = oracle_samples, frames
        self.samples_per_step, self.latent_weight, self.seed = samples_per_step, latent_weight, seed
        self.joint = any(p.requires_grad for p in cpc.parameters())

    def losses(self, batch: Batch) -> Tensors:
        frames, oracle = self.drawn_frames(batch), batch["number"] < self.oracle_samples
        latents = batch["hr_latents"] if oracle.all() and not self.joint else self.latents(batch)
        seen = torch.where(oracle.to(latents.device).view(-1, 1, 1, 1, 1), batch["hr_latents"], latents)
        decoded = self.decoder(seen, batch["lr_resized"], frames)
        hr, lr = batch["hr"][:, :, frames], batch["lr_resized"][:, :, frames]
        loss = charbonnier(decoded, hr)
        latent = (latents.float() - batch["hr_latents"]).square().mean()
        gain = psnr((decoded.detach() - hr).square().mean(), 2) - psnr((lr - hr).square().mean(), 2)
        return {
            "loss": loss + self.latent_weight * latent if self.joint else loss,
            "latents": latent.detach(),
            "gain over bicubic, dB": gain,
        }

    def drawn_frames(self, batch: Batch) -> list[int]:
        """Return the numbers of the frames that are decoded of this batch, rising: the same for all samples of an
        optimizer step."""
        count, first = batch["hr"].shape[2], int(batch["number"][0])
        rng = sample_rng(self.seed, first - first % self.samples_per_step, "frames")
        return sorted(rng.choice(count, size=min(self.frames or count, count), replace=False).tolist())

    def latents(self, batch: Batch) -> torch.Tensor:
        """Return what the decoder decodes, (B, C, f, h, w)."""
        if self.source == "sampled":
            return self.cpc.sample(batch["lr_latents"], draw_noise(batch["lr_latents"], batch["number"], self.seed))
        return batch["lr_latents"] if self.source == "lr" else torch.zeros_like(batch["lr_latents"])

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the latents decoded, (B, 3, F, H, W)."""
        return self.decoder(self.latents(batch), batch["lr_resized"])
