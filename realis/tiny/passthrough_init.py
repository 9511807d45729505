"""Start a small Wan transformer as a pass-through of its input instead of noise.

The velocity of rectified flow is mostly the noise that the input contains, so a transformer that already returns its
input has little left to learn. The patch embedding and the output projection are set to an orthonormal matrix and its
transpose; a pair of constant channels +k, -k dominates the last LayerNorm, so that it scales all tokens alike.
"""

import torch
from torch import nn

from realis.core.errors import InputError
from realis.models.cpc.injection import ControlledWanTransformer3DModel

CONSTANT = 12.0


@torch.no_grad()
def initialise_transformer(transformer: ControlledWanTransformer3DModel) -> None:
    """Set embedding and head of ``transformer`` so that it returns about its input.

    Raises:
        InputError: it is too narrow to carry its input and two more channels.
    """
    c = transformer.config
    width = c.num_attention_heads * c.attention_head_dim
    _, p_h, p_w = c.patch_size
    carried = c.in_channels * p_h * p_w
    if width < carried + 2:
        raise InputError(f"transformer: got width {width}, wanted at least {carried + 2} to carry its input")
    basis = torch.linalg.qr(torch.randn(width - 2, carried))[0]

    embedding = transformer.patch_embedding
    nn.init.zeros_(embedding.weight)
    nn.init.zeros_(embedding.bias)
    embedding.weight[: width - 2] = basis.view(width - 2, c.in_channels, 1, p_h, p_w)
    embedding.bias[-2:] = torch.tensor([CONSTANT, -CONSTANT])

    head = transformer.proj_out
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    token_std = ((2 * CONSTANT**2 + carried) / width) ** 0.5  # what the LayerNorm divides by, for unit-variance input
    by_patch = basis.view(width - 2, c.in_channels, p_h, p_w).permute(2, 3, 1, 0).reshape(carried, width - 2)
    head.weight[:, : width - 2] = token_std * by_patch
    nn.init.zeros_(transformer.scale_shift_table)

    for block in transformer.blocks:  # start with quiet branches
        nn.init.zeros_(block.attn2.to_out[0].weight)
        nn.init.zeros_(block.attn2.to_out[0].bias)
        block.scale_shift_table[:, [2, 5]] *= 0.3
