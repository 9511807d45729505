"""The guiding U-Net of the Feature-wise Temporal Condition Module (DGAF-VSR, Sec. 4.2, Eq. 4): a second U-Net beside the
frozen one, which adds to all of its features.

Both have the same points where features meet: before the first block, after every residual block (with its attention), every
change of resolution, and the middle block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D
from torch import nn

from realis.models.parts import load_part
from realis.models.sd_x4.loading import Guide, forget_noise_levels

PLAIN = {"CrossAttnDownBlock2D": "DownBlock2D", "CrossAttnUpBlock2D": "UpBlock2D",
         "UNetMidBlock2DCrossAttn": "UNetMidBlock2D"}  # fmt: skip


class GuidingUNet(ModelMixin, ConfigMixin):
    """A U-Net over noisy latents, LR and aligned latents; its features go through convolutions that begin as zeros.

    Args:
        unet_config: the configuration of a ``UNet2DConditionModel``, whose output is not used.
        encoder_only: it has no decoder, and guides none.
    """

    @register_to_config
    def __init__(self, unet_config: dict[str, Any], encoder_only: bool = False) -> None:
        super().__init__()
        unet: Any = UNet2DConditionModel.from_config(unet_config)
        self.unet: UNet2DConditionModel = unet
        self.unet.conv_norm_out, self.unet.conv_out = None, nn.Identity()
        # Of one residual block in diffusers, of two in the authors' code
        if unet_config["mid_block_type"] == "UNetMidBlock2D":
            self.unet.mid_block = _plain_middle(self.unet)
        if encoder_only:
            self.unet.up_blocks = nn.ModuleList()
        self.zero_convs = nn.ModuleList(nn.Conv2d(width, width, 1) for width, _ in points(self.unet))
        for parameter in self.zero_convs.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        inputs: torch.Tensor,
        timesteps: torch.Tensor,
        prompt: torch.Tensor,
        noise_levels: torch.Tensor | None,
    ) -> list[torch.Tensor]:
        """Return what is added to the features of the frozen U-Net, in the order of their points.

        Args:
            inputs: noisy latents, LR and aligned latents, (B, 2 C + 3, h, w).
            timesteps: (B,) int64.
            prompt: (B, 77, text_dim).
            noise_levels: (B,) int64; ``None``: it is told of none.
        """
        features: list[torch.Tensor] = []
        labels = noise_levels if self.unet.class_embedding is not None else None
        with hooked(self.unet, lambda number, output: features.append(output)):
            self.unet(inputs, timesteps, encoder_hidden_states=prompt, class_labels=labels)
        return [conv(feature) for conv, feature in zip(self.zero_convs, features, strict=True)]


def new_guiding_unet(unet: UNet2DConditionModel, attention: bool = True, encoder_only: bool = False) -> GuidingUNet:
    """Return a new guiding U-Net for ``unet``, a copy of it that changes nothing yet. Its first convolution takes the aligned
    latents as it does the noisy ones.

    Args:
        attention: with the attention of ``unet`` (the paper's size), or without (the public code).
        encoder_only: without a decoder.
    """
    latents = unet.config.out_channels
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    config["in_channels"] += latents
    if not attention:
        for kind in ("down_block_types", "up_block_types"):
            config[kind] = [PLAIN.get(block, block) for block in config[kind]]
        config["mid_block_type"] = PLAIN.get(config["mid_block_type"], config["mid_block_type"])
    guiding = GuidingUNet(unet_config=config, encoder_only=encoder_only)  # by name, so that they are saved
    weights = unet.state_dict()
    first = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat((first, first[:, :latents]), dim=1)
    own = guiding.unet.state_dict()
    guiding.unet.load_state_dict({name: weights.get(name, value) for name, value in own.items()})
    return guiding


def load_guiding_unet(folder: Path, dtype: torch.dtype, noise_levels: bool) -> GuidingUNet:
    """Load a guiding U-Net strictly.

    Args:
        folder: of it.
        dtype: of its weights.
        noise_levels: whether it is told how noisy the LR is, if it was made for that.

    Raises:
        InputError: its weights are damaged or do not fit.
    """
    guiding = load_part(GuidingUNet, folder, dtype)
    if not noise_levels:
        forget_noise_levels(guiding.unet)
        guiding.register_to_config(unet_config={**guiding.config.unet_config, "num_class_embeds": None})
    return guiding


def guided_by(guiding: GuidingUNet, aligned: torch.Tensor, unet: UNet2DConditionModel) -> Guide:
    """Return how the ``aligned`` latents (B, C, h, w) of neighbours are put into all features of ``unet``."""

    @contextmanager
    def guide(
        inputs: torch.Tensor, timesteps: torch.Tensor, prompt: torch.Tensor, noise_levels: torch.Tensor | None
    ) -> Iterator[dict[str, Any]]:
        features = guiding(torch.cat((inputs, aligned.to(inputs)), dim=1), timesteps, prompt, noise_levels)
        with hooked(unet, lambda number, output: output + features[number] if number < len(features) else None):
            yield {}

    return guide


def points(unet: UNet2DConditionModel) -> Sequence[tuple[int, nn.Module]]:
    """Return where features meet, in their order, with their channels: the first block, before which they do, and the modules
    after which they do."""
    widths = unet.config.block_out_channels
    found: list[tuple[int, nn.Module]] = [(widths[0], unet.down_blocks[0])]
    blocks = [*zip(widths, unet.down_blocks, strict=True), (widths[-1], None)]
    blocks += zip(reversed(widths), unet.up_blocks, strict=False)  # the decoder may be missing
    for width, block in blocks:
        if block is None:
            found.append((width, unet.mid_block))
            continue
        layers = block.attentions if getattr(block, "has_cross_attention", False) else block.resnets
        sampling = getattr(block, "downsamplers", None) or getattr(block, "upsamplers", None) or ()
        found += [(width, layer) for layer in (*layers, *sampling)]
    return found


@contextmanager
def hooked(unet: UNet2DConditionModel, change: Callable[[int, torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Call ``change`` with the number of each point and its feature, which is replaced by what it returns, if anything.

    The first feature is replaced as the first block takes it, and not in the skip connection around that, as in the authors'
    code.
    """

    def before(module: nn.Module, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        changed = change(0, named["hidden_states"])
        return None if changed is None else (given, {**named, "hidden_states": changed})

    def after(number: int) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, given: Any, output: Any) -> Any:
            is_alone = isinstance(output, torch.Tensor)
            changed = change(number, output if is_alone else output[0])
            return changed if is_alone or changed is None else (changed,)  # of attention

        return hook

    (_, first), *others = points(unet)
    handles = [first.register_forward_pre_hook(before, with_kwargs=True)]
    try:
        for number, (_, module) in enumerate(others, 1):
            handles.append(module.register_forward_hook(after(number)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _plain_middle(unet: UNet2DConditionModel) -> UNetMidBlock2D:
    """Return a middle block of two residual blocks without attention."""
    config = unet.config
    return UNetMidBlock2D(
        config.block_out_channels[-1], 4 * config.block_out_channels[0], num_layers=1, resnet_eps=config.norm_eps,
        resnet_act_fn=config.act_fn, resnet_groups=config.norm_num_groups, add_attention=False,
        output_scale_factor=config.mid_block_scale_factor,
    )  # fmt: skip
