"""What is computed once and read by every run, through the real commands, with a tiny text encoder."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from realis.commands.__main__ import run_precompute, run_train_cpc
from realis.data.caption_files import caption_key, embedding_file
from realis.data.photographs import training_clip
from realis.models.wan.loading import Wan
from realis.video.write import SegmentWriter

CAPTIONS = ["close up of a cat", "a cat", "a cat"]


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """A manifest of three captioned clips."""
    folder, rng = tmp_path_factory.mktemp("footage"), np.random.default_rng(0)
    for i in range(3):
        frames = (training_clip(rng, 9, 96) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        with SegmentWriter(folder / f"{i}.mp4", (96, 96), Fraction(25)) as writer:
            writer.write(0, frames)
    rows = [json.dumps({"file_name": f"{i}.mp4", "caption": caption}) for i, caption in enumerate(CAPTIONS)]
    (folder / "train.jsonl").write_text("\n".join(rows))
    return folder / "train.jsonl"


@pytest.fixture
def flags(footage, wan_folder, tmp_path):
    """Of clips of 80x48, as 1280x720 multiples of 16 and not of 32."""
    return [
        "--model", str(wan_folder), "--clips.manifest", str(footage), "--clips.frames", "5", "--clips.buckets", "80x48",
        "--clips.workers", "0", "--clips.embeddings", str(tmp_path / "embeddings"), "--run.threads", "1",
        "--run.precision", "no", "--loss.cell", "2", "--controlnet.steps", "2",
    ]  # fmt: skip


def test_embeddings_are_those_of_the_text_encoder_and_are_kept(flags, wan_folder, tmp_path, capsys):
    run_precompute(flags)
    wanted = Wan(wan_folder, torch.bfloat16, torch.float32, "cpu").encode_prompts(["", *CAPTIONS])
    for caption, embeds in zip(["", *CAPTIONS], wanted, strict=True):
        key = caption_key(caption)
        held = load_file(embedding_file(tmp_path / "embeddings", key))[key]
        assert held.dtype == torch.bfloat16 and len(held) < 512
        assert torch.equal(held, embeds[0, : len(held)]) and not embeds[0, len(held) :].any()
    assert "captions to embed: 3; there already: 0" in capsys.readouterr().err
    lost = embedding_file(tmp_path / "embeddings", caption_key("a cat"))
    other = {caption_key("of another manifest"): torch.ones(2, 16, dtype=torch.bfloat16)}
    save_file(other, lost)
    run_precompute(flags)
    assert "captions to embed: 1; there already: 2" in capsys.readouterr().err
    assert load_file(lost).keys() == {*other, caption_key("a cat")}  # what other manifests need stays


def test_training_reads_captions_without_a_text_encoder(flags, wan_folder, tmp_path, capsys):
    """The same run with the text encoder taken away; captions matter, and none is embedded where all are dropped."""
    import shutil

    run_precompute(flags)
    dropped = ["1", "--clips.embeddings", str(tmp_path / "empty")]
    run_precompute([*flags, "--clips.caption-dropout", *dropped])
    assert "captions to embed: 1; there already: 0" in capsys.readouterr().err
    model = tmp_path / "model"
    shutil.copytree(wan_folder, model, ignore=shutil.ignore_patterns("*.safetensors"))
    for part in ("transformer", "vae"):
        shutil.copytree(wan_folder / part, model / part, dirs_exist_ok=True)
    run = ["--run.steps", "2", "--run.batch", "2", "--controlnet.layers", "2", "--optimizer.lr", "1e-3"]
    results = {}
    for name, more in {"captions": ["0"], "no captions": dropped, "again": ["0"]}.items():
        output = tmp_path / name
        run_train_cpc([*flags, *run, "--model", str(model), "--clips.caption-dropout", *more, "--run.output", str(output),
                       "--run.sample-every", "2"])  # fmt: skip
        results[name] = load_file(output / "checkpoint-000002" / "trained.safetensors")
    assert (output / "samples" / "step-000002.png").is_file()
    same, other = results["again"], results["no captions"]
    assert all(torch.equal(x, same[name]) for name, x in results["captions"].items())
    assert any(not torch.equal(x, other[name]) for name, x in results["captions"].items())


def test_latents_of_fixed_crops_take_the_place_of_encoding(flags, tmp_path, capsys):
    latents = ["--clips.latents", str(tmp_path / "latents")]
    run_precompute([*flags, *latents])
    files = list((tmp_path / "latents").glob("*.safetensors"))
    assert len(files) == 3 and all(load_file(f)["hr_latents"].shape == (16, 2, 6, 10) for f in files)
    run_precompute([*flags, *latents])
    assert "crops to encode: 0 (0.0 GB); there already: 3" in capsys.readouterr().err
    refused = [*flags, *latents, "--run.steps", "1", "--run.output", str(tmp_path / "refused")]

    def refuses(run, word):
        with pytest.raises(SystemExit):
            run(refused)
        assert word in capsys.readouterr().err

    files[0].rename(tmp_path / "aside")
    refuses(run_train_cpc, "crops missing: 1 of 3")
    files[0].with_suffix(".passed_over").touch()  # as if it could not be read then
    run_precompute([*flags, *latents])
    assert "crops to encode: 1" in capsys.readouterr().err
    assert load_file(files[0])["hr_latents"].equal(load_file(tmp_path / "aside")["hr_latents"])
    vae = tmp_path / "latents" / "vae.json"
    of_this = vae.read_text()
    for text in ('{"encoder": "another"}', "no JSON"):
        vae.write_text(text)
        refuses(run_train_cpc, "another VAE" if "{" in text else "vae.json")
        refuses(run_precompute, "another VAE" if "{" in text else "vae.json")
    vae.unlink()
    refuses(run_precompute, "choose another folder")
    vae.write_text(of_this)
    output = tmp_path / "run"
    run_train_cpc([*flags, *latents, "--run.steps", "1", "--run.output", str(output), "--controlnet.layers", "2"])
    assert (output / "export" / "config.json").is_file()


def test_nothing_to_compute_is_said(footage, capsys):
    for flags, word in (([], "nothing to compute"), (["--clips.manifest", str(footage)], "nothing to compute"),
                        (["--clips.manifest", str(footage), "--clips.embeddings", "x"], "knows no text")):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            run_precompute(flags)
        assert stop.value.code == 2 and word in capsys.readouterr().err
