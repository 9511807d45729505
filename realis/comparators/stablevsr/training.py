"""Training of StableVSR: what is frozen, what is trained, what is exported. Torch is imported only to train."""

from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.sd_x4.training_config import check_most_noise, highest_level, pure_noise
from realis.comparators.stablevsr.files import check_tcm, tcm_folder
from realis.comparators.stablevsr.training_config import StableVsrTrainingConfig, flag
from realis.models.hub import SD_X4_TINY, STABLEVSR_TINY
from realis.models.sd_x4.files import check_sd_x4, check_text_encoder, sd_x4_folder
from realis.models.weights_file import check_weights_file
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    import torch

    from realis.data.batch import Batch
    from realis.training.run import Run


class StableVsrTraining:
    """StableVSR as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = StableVsrTrainingConfig

    def find_files(self, config: StableVsrTrainingConfig) -> list[Path]:
        folder = sd_x4_folder(config.model, flag("model"))
        check_most_noise(config, config.model, check_sd_x4(folder).noise_levels)
        check_text_encoder(folder)
        if config.flow_weights:
            check_weights_file(config.flow_weights, flag("flow_weights"))
        if not config.tcm:
            return [folder]
        tcm = tcm_folder(config.tcm, flag("tcm"))
        check_tcm(tcm, folder, flag("tcm"))
        return [folder, tcm]

    def prepare(self, config: StableVsrTrainingConfig, run: "Run") -> ComparatorTraining:
        import torch
        from diffusers import ControlNetModel

        from realis.comparators.stablevsr.step import StableVsrStep
        from realis.comparators.stablevsr.tcm import new_tcm
        from realis.data.batch import clips_of, images_of
        from realis.data.randomness import sample_generator
        from realis.models.optical_flow.loading import load_flow
        from realis.models.parts import load_part
        from realis.models.sd_x4.latents import decode_images, encode_images
        from realis.models.sd_x4.loading import SdX4, forget_noise_levels
        from realis.ops.finite import check_weights
        from realis.ops.pixels import signed

        # 1. The frozen upscaler, and the module
        folder, device = sd_x4_folder(config.model, flag("model")), run.accelerator.device
        facts, model = check_sd_x4(folder), SdX4(folder, torch.float32, device)
        vae, unet, (prompt,) = model.vae, model.unet, model.encode_prompts([""])
        check_weights(vae, folder / "vae")
        check_weights(unet, folder / "unet")
        if config.tcm:
            tcm = load_part(ControlNetModel, tcm_folder(config.tcm, flag("tcm")), torch.float32)
            check_weights(tcm, tcm_folder(config.tcm, flag("tcm")))
        else:
            tcm = new_tcm(unet, config.widths)
        tcm, highest = tcm.requires_grad_(True).train().to(device), highest_level(config, facts.noise_levels)
        if highest < 0:
            forget_noise_levels(unet)
            forget_noise_levels(tcm)
        flow_file = Path(config.flow_weights) if config.flow_weights else None
        step = StableVsrStep(
            unet, tcm, lambda latents: decode_images(vae, latents), load_flow(flow_file, flag("flow_weights"), device), config,
            model.schedule, model.lr_schedule if highest >= 0 else None, prompt, highest, pure_noise(config, facts.steps),
            facts.noise_level, facts.steps, run.config.seed, run.config.precision,
        )  # fmt: skip

        # 2. Between pixels and latents, which are drawn from their posterior
        @torch.no_grad()
        def encode(batch: "Batch") -> "Batch":
            hr, lr = signed(batch["hr"]), signed(batch["lr"])
            shape = (lr.shape[2], facts.channels, *lr.shape[3:])
            noise = [
                torch.randn(shape, generator=sample_generator(run.config.seed, number, "posterior"))
                for number in batch["number"].tolist()
            ]
            latents = clips_of(encode_images(vae, images_of(hr), torch.cat(noise).to(device)), len(hr))
            return {**batch, "hr": hr, "lr": lr, "hr_latents": latents}

        @torch.no_grad()
        def restore(module: "torch.nn.Module", batch: "Batch") -> "torch.Tensor":
            return clips_of(decode_images(vae, images_of(module(batch, "sample"))), len(batch["lr"]))

        base = config.tcm or config.model
        derived = base not in (SD_X4_TINY, STABLEVSR_TINY)  # a new module begins as a copy of the encoder
        return ComparatorTraining(
            step, encode, restore, tcm, "controlnet", lambda network, export: None, base, derived, "video-to-video"
        )


TRAINING = StableVsrTraining()
