"""A folder that upstream diffusers writes, every part and a sharded index in it, opens strictly."""

import json

import pytest
import torch
from diffusers import WanPipeline

from realis.core.errors import InputError
from realis.models.hub import has_text_encoder
from realis.models.wan.latents import decode_video, encode_video
from realis.models.wan.loading import Wan
from realis.models.wan.prompts import load_prompt_embeds


@pytest.fixture
def folder(wan_folder):
    return wan_folder


@pytest.fixture
def wan(folder):
    return Wan(folder, torch.float32, torch.float32, "cpu")


def test_sharded_weights_load_strictly_and_equal(folder, wan, _parts):
    assert len(list((folder / "transformer").glob("*.safetensors"))) > 1
    for part in ("transformer", "vae"):
        loaded, wanted = getattr(wan, part).state_dict(), _parts[part].state_dict()
        assert loaded.keys() == wanted.keys()
        assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)
        assert not any(p.requires_grad for p in getattr(wan, part).parameters())


def test_parts_load_only_when_used(folder):
    wan = Wan(folder, torch.float32, torch.float32, "cpu")
    assert has_text_encoder(wan.folder)
    assert not {"transformer", "vae"} & set(vars(wan))


def test_prompts_are_cut_and_padded_with_zeros_as_in_upstream(folder, wan):
    pipeline = WanPipeline.from_pretrained(folder)
    prompts = ("close up of a cat", "")
    for prompt, embeds in zip(prompts, wan.encode_prompts(prompts), strict=True):
        wanted, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=512)
        torch.testing.assert_close(embeds, wanted)


def test_a_text_encoder_with_a_missing_weight_is_refused(folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "wan"
    shutil.copytree(folder, broken)
    file = next(
        f for f in sorted((broken / "text_encoder").glob("*.safetensors")) if any("wo" in n for n in load_file(f))
    )
    weights = load_file(file)
    del weights[next(n for n in weights if "wo" in n)]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match="text_encoder"):
        Wan(broken, torch.float32, torch.float32, "cpu").encode_prompts(["a"])


def test_latents_equal_upstreams_statistics(wan):
    video = torch.rand(1, 3, 5, 16, 24) * 2 - 1
    mean = torch.tensor(wan.vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(wan.vae.config.latents_std).view(1, -1, 1, 1, 1)
    latents = encode_video(wan.vae, video)
    torch.testing.assert_close(latents * std + mean, wan.vae.encode(video).latent_dist.mode())
    torch.testing.assert_close(decode_video(wan.vae, latents), wan.vae.decode(latents * std + mean).sample)


@pytest.mark.parametrize("shape", [(1, 3, 4, 16, 16), (1, 3, 5, 20, 16), (1, 3, 5, 16, 12)])
def test_sizes_that_the_vae_would_silently_cut_are_refused(wan, shape):
    with pytest.raises(ValueError, match="wanted"):
        encode_video(wan.vae, torch.zeros(shape))


def test_missing_and_unexpected_weights_are_refused(folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "wan"
    shutil.copytree(folder, broken)
    index = broken / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    names = json.loads(index.read_text())
    name, file = next(iter(names["weight_map"].items()))
    weights = load_file(broken / "transformer" / file)
    del weights[name], names["weight_map"][name]
    save_file(weights, broken / "transformer" / file)
    index.write_text(json.dumps(names))
    with pytest.raises(InputError, match="missing"):
        Wan(broken, torch.float32, torch.float32, "cpu").transformer  # noqa: B018


def test_cached_prompt_embeddings(tmp_path):
    from safetensors.torch import save_file

    save_file({"context": torch.ones(3, 16)}, tmp_path / "prompt.safetensors")
    embeds = load_prompt_embeds(tmp_path / "prompt.safetensors", 16)
    assert embeds.shape == (1, 512, 16)
    assert embeds[0, :3].eq(1).all() and not embeds[0, 3:].any()
    with pytest.raises(InputError, match="wanted"):
        load_prompt_embeds(tmp_path / "prompt.safetensors", 32)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_prompt_embeds(tmp_path / "bad.safetensors", 16)
