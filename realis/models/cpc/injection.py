"""How control features enter the frozen Wan transformer: RealisVSR Eq. 1, ``X_i += gamma F[i // r]`` after block i.

The features are an argument of the transformer's forward, so that nothing is hidden from gradient checkpointing, and
the blocks are upstream's own, so that ``compile_repeated_blocks`` compiles them once.
"""

from collections.abc import Sequence

import torch
from diffusers import WanTransformer3DModel

from realis.models.cpc.interval import block_interval


class ControlledWanTransformer3DModel(WanTransformer3DModel):
    """``WanTransformer3DModel`` (text to video) whose forward also takes control residuals.

    Same weights, configuration and folder format as the parent; without residuals, and with zero ones, the same
    output to the last bit.
    """

    def embed_conditions(self, timestep: torch.Tensor, prompt_embeds: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Embed time and text.

        Args:
            timestep: (B,), 1000 sigma.
            prompt_embeds: (B, text tokens, text_dim).

        Returns:
            temb (B, D), its projection for the block modulation (B, 6, D), and the text (B, text tokens, D).
        """
        # Outside autocast, which would run the float32 time embedder in bfloat16: in training as at inference.
        device = "cpu" if timestep.is_meta else timestep.device.type  # autocast knows no meta device
        with torch.autocast(device, enabled=False):
            temb, timestep_proj, text, _ = self.condition_embedder(timestep, prompt_embeds, None)
        return temb, timestep_proj.unflatten(1, (6, -1)), text

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        control_residuals: Sequence[torch.Tensor] = (),
        control_scale: float = 1.0,
    ) -> torch.Tensor:
        """Velocity of the noisy latent.

        Args:
            hidden_states: (B, C, f, h, w) noisy latent, h and w even.
            timestep: (B,), 1000 sigma.
            encoder_hidden_states: (B, text tokens, text_dim) prompt embeddings.
            control_residuals: L tensors (B, f h w / 4, D), or none.
            control_scale: gamma of Eq. 1.

        Returns:
            (B, C, f, h, w) velocity eps - x0.
        """
        _, _, f, h, w = hidden_states.shape
        p_f, p_h, p_w = self.config.patch_size

        # 1. Embed
        rotary_emb = self.rope(hidden_states)
        hidden_states = self.patch_embedding(hidden_states).flatten(2).transpose(1, 2).contiguous()
        temb, timestep_proj, text = self.embed_conditions(timestep, encoder_hidden_states)

        # 2. Blocks; after each, the residual of its control block (Eq. 1)
        r = block_interval(len(self.blocks), len(control_residuals)) if control_residuals else 0
        for i, block in enumerate(self.blocks):
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                hidden_states = self._gradient_checkpointing_func(block, hidden_states, text, timestep_proj, rotary_emb)
            else:
                hidden_states = block(hidden_states, text, timestep_proj, rotary_emb)
            if control_residuals:
                # One pass over memory, the only cost of a step whose residuals were computed before
                hidden_states = torch.add(hidden_states, control_residuals[i // r], alpha=control_scale)

        # 3. Output norm, projection and unpatchify
        shift, scale = (self.scale_shift_table.to(temb.device) + temb.unsqueeze(1)).chunk(2, dim=1)
        hidden_states = (self.norm_out(hidden_states.float()) * (1 + scale) + shift).type_as(hidden_states)
        hidden_states = self.proj_out(hidden_states)
        hidden_states = hidden_states.unflatten(1, (f // p_f, h // p_h, w // p_w)).unflatten(-1, (p_f, p_h, p_w, -1))
        return hidden_states.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
