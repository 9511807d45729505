"""Files of models: a config.json that cannot be meant is found out before anything is built; what is downloaded."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest

from realis.core.errors import InputError
from realis.models.hub import PRESETS, check_parts, has_text_encoder, model_folder
from realis.models.sd_x4.files import check_text_encoder, sd_x4_folder

WRONG = [
    ("transformer", "num_layers", "4", "num_layers: got '4', wanted 1 to 1000"),
    ("transformer", "num_layers", 10**6, "num_layers: got 1000000, wanted 1 to 1000"),
    ("transformer", "num_attention_heads", [4], "num_attention_heads: got"),
    ("transformer", "in_channels", True, "in_channels: got True"),
    ("transformer", "patch_size", 2, "patch_size: got 2, wanted three whole numbers"),
    ("transformer", "eps", -1.0, "eps: got -1.0, wanted a number above 0"),
    ("vae", "base_dim", [16], "base_dim: got"),
    ("vae", "num_res_blocks", 10**9, "num_res_blocks: got"),
    ("vae", "latents_mean", [0.0] * 15, "latents_mean: got"),
    ("vae", "latents_std", ["x"] * 16, "latents_std: got"),
    ("controlnet", "steps", 10**9, "steps: got 1000000000, wanted 1 to 1000"),
    ("controlnet", "shift", "3", "shift: got '3', wanted a number above 0"),
    ("controlnet", "strength", 1.5, "strength: got 1.5, wanted 0 to 1"),
    ("controlnet", "window", [17, 256], "window: got"),
    ("lr_decoder", "num_blocks", 1.5, "num_blocks: got 1.5"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return shutil.copytree(PRESETS / "tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.parametrize(("part", "name", "value", "said"), WRONG)
def test_a_value_that_cannot_be_meant(model, part, name, value, said):
    file = model / part / "config.json"
    before = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(before), name: value}))
        with pytest.raises(InputError) as refused:
            check_parts(model, None, "lr")
    finally:
        file.write_text(before)
    assert str(refused.value).startswith(f"{file}: {said}")


def test_a_decoder_of_other_latents_is_for_measurements_only(model):
    file = model / "lr_decoder" / "config.json"
    before = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(before), "latents": "lr"}))
        for decoder in ("auto", "lr"):
            with pytest.raises(InputError, match=r"trained on latents of another kind \(lr\).*use --decoder wan"):
                check_parts(model, None, decoder)
        check_parts(model, None, "wan")
    finally:
        file.write_text(before)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{", "{}", '{"num_attention_heads": 4}', '{"eps": NaN}'])
def test_a_configuration_that_is_none(model, content):
    file = model / "transformer" / "config.json"
    before = file.read_text()
    try:
        file.write_text(content)
        with pytest.raises(InputError, match="transformer"):
            check_parts(model, None, "lr")
    finally:
        file.write_text(before)
    check_parts(model, None, "lr")


@pytest.mark.parametrize(
    ("entry", "has"), [(["transformers", "UMT5EncoderModel"], True), ([None, None], False), ([], False), (3, False)]
)
def test_an_index_names_a_text_encoder_or_none(tmp_path, entry, has):
    (tmp_path / "model_index.json").write_text(json.dumps({"text_encoder": entry}))
    assert has_text_encoder(tmp_path) == has


PUBLIC = [  # files of a repository with parts that are read, and the whole model beside them in other formats
    "model_index.json", "README.md", "model.ckpt", "model-ema.safetensors", "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model-00001-of-00002.safetensors",
    "text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors", "tokenizer/merges.txt",
    "scheduler/scheduler_config.json", "controlnet/diffusion_pytorch_model.safetensors",
]  # fmt: skip


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """The files of PUBLIC that are downloaded, by name of the repository; ``tmp_path`` is where they are."""
    files, wanted = [*PUBLIC, "diffusion_pytorch_model.safetensors"], {}

    def download(name, **rules):
        del rules["local_files_only"]
        wanted[name] = set(huggingface_hub.utils.filter_repo_objects(files, **rules))
        return tmp_path

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(model_info=lambda name, timeout: None))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return wanted


@pytest.mark.parametrize("text_encoder", [True, False])
def test_of_a_hub_only_what_is_read_is_downloaded(tmp_path, downloaded, text_encoder):
    assert model_folder("owner/name", text_encoder=text_encoder) == tmp_path
    encoder = {"text_encoder/model.safetensors"} if text_encoder else set()
    assert downloaded["owner/name"] == encoder | {
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt",
        "vae/diffusion_pytorch_model-00001-of-00002.safetensors", "scheduler/scheduler_config.json",
        "controlnet/diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors",  # a part that is a repository of its own, such as a CPC
    }  # fmt: skip
    assert sd_x4_folder("owner/other", "--sd-x4.model", text_encoder=text_encoder) == tmp_path
    unread = {"controlnet/diffusion_pytorch_model.safetensors"}
    assert downloaded["owner/other"] == downloaded["owner/name"] - unread


def test_an_embedded_model_of_another_kind_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^--model: got 'sd-x4-tiny', .*; wanted realis-tiny, a folder"):
        model_folder("sd-x4-tiny")
    with pytest.raises(InputError, match=r"^--m: got 'realis-tiny', .*; wanted sd-x4-tiny, a folder"):
        sd_x4_folder("realis-tiny", "--m")
    assert model_folder("realis-tiny") == PRESETS / "tiny"


def test_a_text_encoder_that_is_named_must_be_there(tmp_path):
    check_text_encoder(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"text_encoder": ["transformers", "CLIPTextModel"]}))
    with pytest.raises(InputError, match=r"names a text encoder, which is not there; get it, or do without$"):
        check_text_encoder(tmp_path, "do without")
    (tmp_path / "text_encoder").mkdir()
    check_text_encoder(tmp_path)


def test_a_missing_folder_below_one_that_is_there_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="got 'out/nope', which is no folder"):
        model_folder("out/nope")
