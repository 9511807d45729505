"""Consistency-Preserved ControlNet (CPC): control features from the low-resolution latent alone.

RealisVSR, "Consistency-Preserved ControlNet", Eq. 1: a ControlNet whose input is the condition c, without the noisy
latent z_t: ``x_CPC = T_cond(c)``. Its L blocks are copies of the first L blocks of the frozen Wan transformer; the
output of block j is added after main blocks ``j r .. (j + 1) r - 1``, ``r = ceil(L_main / L)``
(:mod:`realis.models.cpc.injection`).
"""

from typing import Any, Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models._modeling_parallel import ContextParallelInput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_wan import (
    WanRotaryPosEmbed,
    WanTransformer3DModel,
    WanTransformerBlock,
)
from torch import nn

from realis.diffusion.rectified_flow import SAMPLERS
from realis.models.cpc.interval import block_interval
from realis.models.cpc.static import is_static

BLOCK_CONFIG = ("patch_size", "num_attention_heads", "attention_head_dim", "in_channels", "ffn_dim",
                "cross_attn_norm", "qk_norm", "eps", "rope_max_seq_len")  # fmt: skip


class CpcControlNet(ModelMixin, ConfigMixin):
    """Control branch over a frozen ``WanTransformer3DModel``.

    Text and time enter embedded, by the main transformer's own embedders, so none is duplicated here: with 4 blocks
    over Wan2.1-T2V-1.3B the two together count 1.614 B parameters, the paper's "1.6 B".

    Args:
        patch_size, num_attention_heads, attention_head_dim, in_channels, ffn_dim, cross_attn_norm, qk_norm, eps,
            rope_max_seq_len: as in the main transformer.
        num_layers: L, blocks of the control branch.
        num_main_layers: L_main. An L of which some block would never be read is refused.
        control_input: ``"lr"`` is CPC; ``"lr+noisy"`` adds the embedded noisy latent, the vanilla ControlNet that the
            paper's Table 3 starts from.
        time_conditioned: give the blocks the current timestep; otherwise always timestep 0.
        text_conditioned: give the blocks the prompt; otherwise always the empty prompt. With ``"lr"`` and neither
            condition the branch is *static*: its features are the same at every sampling step.
        learn_scale: train one factor per block (gamma of Eq. 1), starting at 1.
        window: frames, height and width in pixels that inference uses at a time unless told otherwise.
        steps, shift, sampler: how inference samples unless told otherwise, and training its pictures: the number of
            steps, the shift of their noise levels, and a name of :data:`realis.diffusion.rectified_flow.SAMPLERS`.
        strength: how much of the result inference takes over the resized input unless told otherwise, 0 to 1.

    Raises:
        ValueError: a block would never be read, or an unknown ``control_input`` or ``sampler``.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["WanTransformerBlock"]
    _repeated_blocks = ["WanTransformerBlock"]
    _keep_in_fp32_modules = ["rope", "scale_shift_table", "norm1", "norm2", "norm3"]
    _cp_plan = {  # tokens are split and stay so: each residual meets the same tokens of the main transformer
        "rope": {i: ContextParallelInput(split_dim=1, expected_dims=4, split_output=True) for i in (0, 1)},
        "blocks.0": {"hidden_states": ContextParallelInput(split_dim=1, expected_dims=3)},
    }

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        ffn_dim: int = 8960,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        rope_max_seq_len: int = 1024,
        num_layers: int = 4,
        num_main_layers: int = 30,
        control_input: Literal["lr", "lr+noisy"] = "lr",
        time_conditioned: bool = True,
        text_conditioned: bool = True,
        learn_scale: bool = False,
        window: tuple[int, int, int] = (49, 480, 832),
        steps: int = 20,
        shift: float = 3.0,
        sampler: Literal["euler", "unipc"] = "euler",  # what a config.json that names none was sampled by
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        block_interval(num_main_layers, num_layers)
        if control_input not in ("lr", "lr+noisy"):
            raise ValueError(f"control_input: got {control_input!r}, wanted 'lr' or 'lr+noisy'")
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler: got {sampler!r}, wanted {' or '.join(map(repr, SAMPLERS))}")
        dim = num_attention_heads * attention_head_dim

        # 1. Patch & position embedding. The LR embedding is copied from the main one, not zero: without z_t in the
        # stream a zero embedding would leave the blocks nothing to work on.
        self.rope = WanRotaryPosEmbed(attention_head_dim, tuple(patch_size), rope_max_seq_len)
        self.patch_embedding = nn.Conv3d(in_channels, dim, kernel_size=patch_size, stride=patch_size)
        if control_input == "lr+noisy":
            self.noisy_patch_embedding = nn.Conv3d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

        # 2. Transformer blocks
        self.blocks = nn.ModuleList(
            WanTransformerBlock(dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps)
            for _ in range(num_layers)
        )

        # 3. Output projections, zero at the start: step 0 equals the frozen model
        self.proj_out = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_layers))
        for projection in self.proj_out:
            nn.init.zeros_(projection.weight)
            nn.init.zeros_(projection.bias)
        self.scale = nn.Parameter(torch.ones(num_layers)) if learn_scale else None

        self.gradient_checkpointing = False

    @classmethod
    def from_transformer(
        cls, transformer: WanTransformer3DModel, num_layers: int = 4, **options: Any
    ) -> "CpcControlNet":
        """Build a control branch whose blocks and patch embedding are copies of the first ones of ``transformer``.

        Args:
            transformer: the frozen main transformer (on the meta device the copy is on meta too).
            num_layers: L.
            options: ``control_input``, ``time_conditioned``, ``text_conditioned``, ``learn_scale``,
                ``window``, ``steps``, ``shift``, ``sampler``, ``strength``.
        """
        config = {key: transformer.config[key] for key in BLOCK_CONFIG}
        with torch.device(transformer.device):
            controlnet = cls(**config, num_layers=num_layers, num_main_layers=transformer.config.num_layers, **options)
        controlnet.proj_out.to(transformer.proj_out.weight.dtype)
        main = transformer.state_dict()
        copied = {
            name: main[name].clone()
            for name in controlnet.state_dict()
            if name.startswith(("patch_embedding.", "blocks."))
        }
        if controlnet.config.control_input == "lr+noisy":  # z_t fills the stream: the LR embedding starts at zero
            for leaf in ("weight", "bias"):
                copied[f"noisy_patch_embedding.{leaf}"] = copied[f"patch_embedding.{leaf}"]
                copied[f"patch_embedding.{leaf}"] = torch.zeros_like(main[f"patch_embedding.{leaf}"])
        controlnet.load_state_dict(copied, strict=False, assign=True)  # keeps the dtype of every main weight
        return controlnet

    @property
    def is_static(self) -> bool:
        """Whether one computation of the features serves all steps: see :func:`realis.models.cpc.static.is_static`."""
        return is_static(self.config)

    def forward(
        self,
        lr_latents: torch.Tensor,
        timestep_proj: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        noisy_latents: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Control features of one LR latent.

        Args:
            lr_latents: (B, C, f, h, w), h and w even: the normalised VAE latent of the LR video resized to the output.
            timestep_proj: (B, 6, D), the main transformer's time modulation.
            encoder_hidden_states: (B, text tokens, D), text after the main transformer's text embedder.
            noisy_latents: (B, C, f, h, w), read only with ``control_input="lr+noisy"``.

        Returns:
            L tensors (B, f h w / 4, D).
        """
        # 1. Embed
        rotary_emb = self.rope(lr_latents)
        hidden_states = self.patch_embedding(lr_latents)
        if self.config.control_input == "lr+noisy":
            hidden_states = hidden_states + self.noisy_patch_embedding(noisy_latents)
        hidden_states = hidden_states.flatten(2).transpose(1, 2).contiguous()

        # 2. Blocks, each followed by its output projection
        residuals = []
        for j, (block, projection) in enumerate(zip(self.blocks, self.proj_out, strict=True)):
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                hidden_states = self._gradient_checkpointing_func(
                    block, hidden_states, encoder_hidden_states, timestep_proj, rotary_emb
                )
            else:
                hidden_states = block(hidden_states, encoder_hidden_states, timestep_proj, rotary_emb)
            residual = projection(hidden_states)
            residuals.append(residual if self.scale is None else residual * self.scale[j].to(residual.dtype))
        return tuple(residuals)
