"""Shared by all tests: one thread, no denormals, and tiny real components."""

import realis.models  # noqa: F401, I001 - first, so that torchvision can be imported beside a CPU-only torch

import copy
import os
import signal

import cv2
import pytest
import torch
from diffusers import AutoencoderKLWan

from commands import start_server
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.cpc.controlnet import CpcControlNet
from small_sd_x4 import save_small_model

# Where the tests run in the background of a shell, all processes would be deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
cv2.setNumThreads(1)  # its threads do not survive the forks of loaders
os.environ["OMP_NUM_THREADS"] = "1"  # of the commands that tests start: there are tests beside them
torch.set_flush_denormal(True)

TINY_TRANSFORMER = {
    "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16, "out_channels": 16, "text_dim": 16,
    "freq_dim": 32, "ffn_dim": 32, "num_layers": 4, "rope_max_seq_len": 64,
}  # fmt: skip
TINY_VAE = {
    "base_dim": 4, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _server():
    start_server()


@pytest.fixture(scope="session")
def _parts():
    torch.manual_seed(0)
    transformer = ControlledWanTransformer3DModel(**TINY_TRANSFORMER).requires_grad_(False)
    return {"transformer": transformer, "vae": AutoencoderKLWan(**TINY_VAE).requires_grad_(False)}


@pytest.fixture
def transformer(_parts):
    """A frozen transformer of four blocks, its own copy for every test."""
    return copy.deepcopy(_parts["transformer"])


@pytest.fixture
def vae(_parts):
    return copy.deepcopy(_parts["vae"])


def randomise_projections(controlnet: CpcControlNet) -> CpcControlNet:
    """Random output projections: at zero every fault in sharding, caching or checkpointing is invisible."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for projection in controlnet.proj_out:
            projection.weight.copy_(torch.randn(projection.weight.shape, generator=generator) * 0.2)
            projection.bias.copy_(torch.randn(projection.bias.shape, generator=generator) * 0.2)
    return controlnet


@pytest.fixture
def controlnet(transformer):
    """A CPC of two blocks with random output projections."""
    return randomise_projections(CpcControlNet.from_transformer(transformer, 2))


@pytest.fixture
def inputs():
    """Noisy latent, LR latent, timestep and prompt embeddings of a batch of two."""
    g = torch.Generator().manual_seed(2)
    return {
        "z": torch.randn(2, 16, 2, 4, 6, generator=g),
        "lr": torch.randn(2, 16, 2, 4, 6, generator=g),
        "timestep": torch.tensor([900.0, 250.0]),
        "prompt": torch.randn(2, 3, 16, generator=g),
        "empty": torch.zeros(1, 3, 16),
    }


@pytest.fixture(scope="session")
def sd_x4_folder(tmp_path_factory):
    """A whole small Stable Diffusion x4 upscaler with its text encoder, in the form that upstream diffusers writes."""
    return save_small_model(tmp_path_factory.mktemp("sd_x4") / "model")


WORDS = ["a", "b", "close", "up", "of", "cat"]


def tiny_text_encoder():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((f"▁{word}", -1.0) for word in WORDS)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    config = UMT5Config(vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return fast, UMT5EncoderModel(config)


@pytest.fixture(scope="session")
def wan_folder(tmp_path_factory, _parts):
    """A whole tiny Wan model with its text encoder, in the form that upstream diffusers writes."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    torch.manual_seed(0)
    upstream = WanTransformer3DModel(**_parts["transformer"].config)
    upstream.load_state_dict(_parts["transformer"].state_dict())
    tokenizer, encoder = tiny_text_encoder()
    pipeline = WanPipeline(
        tokenizer=tokenizer, text_encoder=encoder, vae=_parts["vae"], scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=upstream,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wan")
    pipeline.save_pretrained(folder, max_shard_size="40KB")
    return folder
