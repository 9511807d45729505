"""Held-out samples: never trained on, and the same in every run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from footage import film, manifest
from realis.core.errors import InputError
from realis.data.caption_files import caption_key, embedding_file
from realis.data.clips import ClipSet
from realis.data.clips_config import ClipsConfig
from realis.data.held_out import HeldOutClips
from realis.data.manifest import read_held_out, read_manifest
from realis.data.pairs import held_out_pairs, pair_pool
from realis.data.pairs_config import DataConfig
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS
from realis.models.hub import PRESETS
from realis.models.wan.loading import Wan
from realis.training.settings import ValidationConfig
from realis.video.read import VideoReader

CONFIG = ClipsConfig(frames=5, buckets=("64x32", "32x32"), degradation="light", workers=0)


@pytest.fixture(scope="module")
def vae():
    return Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu").vae


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held_out")
    for i in range(3):
        film(folder / f"{i}.mp4", frames=9, size=(64, 96), place=20 * i)
    rows = [{"file_name": f"{i}.mp4", "caption": f"clip {i}"} for i in range(3)]
    return manifest(folder, rows)


def only(source, plan):
    (batch,) = source.batches([plan])
    return batch


def test_pairs_are_filmed_from_photographs_that_training_does_not_use(vae, monkeypatch):
    import realis.data.photographs as photographs

    shown, read = set(), photographs.photograph
    monkeypatch.setattr(photographs, "photograph", lambda name: shown.add(name) or read(name))
    config = DataConfig(count=6, frames=1, size=32, scales=(2, 1), degradations=("bi",), cache="")
    pool = held_out_pairs(config, 6, vae)
    assert shown == {*SAMPLE_PHOTOGRAPHS} and not shown & TRAINING_PHOTOGRAPHS.keys()
    trained = pair_pool(config, 0, vae)  # not the same textures either
    assert not any((a == b).all() for a in pool.tensors["hr"] for b in trained.tensors["hr"])


def test_a_pair_is_the_same_however_many_there_are(vae, tmp_path):
    config = DataConfig(count=6, frames=1, size=32, scales=(2, 1), degradations=("light",), cache=str(tmp_path))
    few, many = held_out_pairs(config, 2, vae), held_out_pairs(replace(config, count=1), 3, vae)
    kept = [held_out_pairs(config, 2, vae), pair_pool(replace(config, count=2), 0, vae)]
    assert torch.equal(kept[0].tensors["hr"], few.tensors["hr"])
    assert not torch.equal(kept[1].tensors["hr"], few.tensors["hr"])  # no pool of a run is taken for it
    assert (len(few), len(many), len([*tmp_path.iterdir()])) == (2, 3, 3)
    batch, other = only(few, range(2)), only(many, range(3))
    assert batch["number"].tolist() == [0, 1]
    assert all(torch.allclose(x, other[name][:2], atol=1e-2) for name, x in batch.items())
    assert torch.equal(batch["hr"], few.tensors["hr"]) and not torch.equal(other["hr"][0], other["hr"][1])
    assert torch.equal(only(many, range(2, 3))["lr_resized"][0], other["lr_resized"][2])


def test_a_clip_of_footage_is_its_middle_whatever_the_run(footage):
    clips = HeldOutClips(CONFIG, footage, 8)
    assert len(clips) == 3 and len(HeldOutClips(CONFIG, footage, 2)) == 2
    batch = only(clips, range(3))
    assert batch["hr"].shape == (3, 3, 5, 32, 64) and batch["lr"].shape == (3, 3, 5, 8, 16)
    for i in range(3):
        with VideoReader(footage.replace("clips.jsonl", f"{i}.mp4")) as video:
            frames = np.stack(list(video))
        assert (batch["hr"][i].permute(1, 2, 3, 0).numpy() == frames[2:7, 16:48, 16:80]).all()
    alone = only(HeldOutClips(replace(CONFIG, workers=1), footage, 8), range(1, 2))
    assert all(torch.equal(x[0], batch[name][1]) for name, x in alone.items())
    assert not torch.equal(batch["lr"], only(ClipSet(replace(CONFIG, manifest=footage), 0, 3), range(3))["lr"])


def test_a_clip_has_its_own_caption_unless_training_knows_the_empty_one_alone(footage, tmp_path):
    held = {caption_key(caption): torch.full((2, 8), float(i)) for i, caption in enumerate(["", "clip 0"])}
    for key, tensor in held.items():
        save_file({key: tensor}, embedding_file(tmp_path, key))
    config = replace(CONFIG, embeddings=str(tmp_path))
    with pytest.raises(InputError, match=r"no embedding of the caption 'clip 1'"):
        HeldOutClips(config, footage, 8)
    clips = HeldOutClips(replace(config, caption_dropout=1.0), footage, 1)
    assert not only(clips, range(1))["prompt"].any()
    clips.config = replace(config, caption_dropout=0.9)
    assert only(clips, range(1))["prompt"][0, :3, 0].tolist() == [1, 1, 0]


def test_a_clip_that_cannot_be_used_is_named_at_once(footage, tmp_path):
    film(tmp_path / "small.mp4", frames=9, size=(16, 96))
    rows = [{"file_name": footage.replace("clips.jsonl", "0.mp4")}, {"file_name": "small.mp4"}]
    with pytest.raises(
        InputError, match=r"^--validation\.manifest \S+: \S+small.mp4: 96x16 is too small for 64x32; take"
    ):
        HeldOutClips(CONFIG, manifest(tmp_path, rows), 8)


def test_footage_that_is_trained_on_is_refused(footage, tmp_path):
    training = read_manifest(footage)
    film(tmp_path / "own.mp4", frames=5)
    own = manifest(tmp_path, [{"file_name": "own.mp4"}], "own.jsonl")
    assert [entry.path.name for entry in read_held_out(own, training)] == ["own.mp4"]
    (tmp_path / "link.mp4").symlink_to(training[1].path)
    shared = manifest(tmp_path, [{"file_name": "own.mp4"}, {"file_name": "link.mp4", "start": 2}], "shared.jsonl")
    with pytest.raises(InputError, match=r"--validation\.manifest .* trained on, too: 1 of 2, first \S+link\.mp4; "):
        read_held_out(shared, training)
    with pytest.raises(InputError, match=r"--validation\.manifest"):
        read_held_out(str(tmp_path / "none.jsonl"), training)


def test_wrong_settings_are_refused():
    assert ValidationConfig(every=0).manifest == ""
    for name, value in (("every", -1), ("samples", 0)):
        with pytest.raises(InputError, match=rf"--validation\.{name}"):
            ValidationConfig(**{name: value})
