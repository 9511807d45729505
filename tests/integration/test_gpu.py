"""What only a GPU can show: the same result there as on CPU."""

import pytest
import torch

from conftest import randomise_projections
from realis.models.cpc_controlnet import CpcControlNet
from realis.models.lr_decoder import LrDecoder
from realis.upscaling.cpc import CpcPipeline, Sampling

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_window_is_the_same_on_the_gpu(vae, transformer, sampler):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2))
    pipeline = CpcPipeline(vae, transformer, controlnet, LrDecoder(16, 8, 1))
    g = torch.Generator().manual_seed(3)
    window = [torch.rand(1, 3, 5, 32, 48, generator=g) * 2 - 1, torch.randn(1, 16, 2, 4, 6, generator=g)]
    prompts = [torch.randn(1, 3, 16, generator=g), torch.zeros(1, 3, 16)]
    sampling = Sampling(steps=3, sampler=sampler)
    wanted = pipeline(*window, *prompts, sampling)
    pipeline.to("cuda")
    got = pipeline(*(x.cuda() for x in (*window, *prompts)), sampling)
    torch.testing.assert_close(got.cpu(), wanted, atol=2e-3, rtol=0)
