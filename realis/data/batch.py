"""What training is given at a time."""

import torch

Batch = dict[str, torch.Tensor]
