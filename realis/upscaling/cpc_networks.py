"""The networks of RealisVSR at inference, and how they are loaded."""

from dataclasses import dataclass

from diffusers import AutoencoderKLWan

from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.lr_decoder import LrDecoder
from realis.models.wan.loading import Wan, load_lr_decoder


@dataclass(frozen=True)
class CpcNetworks:
    """Frozen networks on one device. The text encoder is not among them: prompts enter embedded.

    Args:
        vae: Wan VAE.
        transformer: Wan transformer that adds control residuals.
        controlnet: trained CPC; it shares the transformer's embedders of time and text.
        lr_decoder: LR-conditioned decoder; ``None``: the VAE decodes.
    """

    vae: AutoencoderKLWan
    transformer: ControlledWanTransformer3DModel
    controlnet: CpcControlNet
    lr_decoder: LrDecoder | None = None


def load_networks(wan: Wan, controlnet: CpcControlNet, *, lr_decoder: bool = True) -> CpcNetworks:
    """Load VAE, transformer and LR-conditioned decoder of ``wan``, all on ``wan.device``.

    Args:
        wan: the model.
        controlnet: a trained CPC.
        lr_decoder: use the LR-conditioned decoder, if the model's folder has one.

    Raises:
        InputError: a part is missing, damaged or does not fit.
    """
    decoder = None
    if lr_decoder and (wan.folder / "lr_decoder").is_dir():
        decoder = load_lr_decoder(wan.folder, wan.dtype).eval().to(wan.device)
    return CpcNetworks(wan.vae, wan.transformer, controlnet.eval().to(wan.device), decoder)
