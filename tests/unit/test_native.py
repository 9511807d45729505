"""Pairs at their native sizes: the same samples however they are read, from footage and from photographs."""

from dataclasses import replace

import pytest
import torch

import realis.data.photographs as photographs
from footage import frames
from realis.core.errors import InputError
from realis.data.clips import ClipSet
from realis.data.native import native_held_out, native_source
from realis.data.native_config import NativeDataConfig, check_native_footage
from realis.data.photographs import SAMPLE_PHOTOGRAPHS

SCALE = 4

RENDERED = NativeDataConfig(frames=3, crop=8, count=4, cache="")
FOOTAGE = NativeDataConfig("train_sharp", frames=3, crop=8, workers=0)


@pytest.fixture(scope="module")
def reds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reds") / "train_sharp"
    for i, name in enumerate(("000", "001", "002", "003")):
        frames(folder / name, place=20 * i)
    return str(folder)


@pytest.fixture(scope="module", params=["rendered", "footage"])
def config(request, reds, tmp_path_factory):
    if request.param == "footage":
        return replace(FOOTAGE, manifest=reds)
    return replace(RENDERED, cache=str(tmp_path_factory.mktemp("pairs")))


def samples(source, *plan):
    """Samples by number."""
    return {
        int(n): {name: x[i] for name, x in batch.items()}
        for batch in source.batches(iter(plan))
        for i, n in enumerate(batch["number"])
    }


def assert_same(some, whole):
    assert some and all(torch.equal(x, whole[n][name]) for n, sample in some.items() for name, x in sample.items())


def test_samples_are_the_same_for_any_split_and_resume(config):
    whole = samples(native_source(config, SCALE, 3, 4), *(range(n, n + 4) for n in (0, 4, 8)))
    assert len(whole) == 12 and {*whole[0]} == {"number", "hr", "lr"}
    for sample in whole.values():
        assert sample["hr"].dtype == sample["lr"].dtype == torch.uint8
        assert sample["hr"].shape == (3, 3, 32, 32) and sample["lr"].shape == (3, 3, 8, 8)
    assert_same(samples(native_source(config, SCALE, 3, 4), *(range(n, n + 1) for n in range(4))), whole)
    assert_same(
        samples(native_source(config, SCALE, 3, 4), range(6, 8), range(10, 12)), whole
    )  # the second of two processes
    assert_same(samples(native_source(config, SCALE, 3, 4), range(8, 12)), whole)  # resumed
    if config.manifest:
        assert_same(samples(native_source(replace(config, workers=2), SCALE, 3, 4), range(4), range(4, 8)), whole)
    assert not torch.equal(samples(native_source(config, SCALE, 4, 4), range(4))[0]["hr"], whole[0]["hr"])


def test_hr_and_lr_of_a_share_of_samples_are_mirrored(config):
    plain, some, mirrored = (
        samples(native_source(replace(config, flip=flip), SCALE, 3, 1), *(range(n, n + 1) for n in range(12)))
        for flip in (0.0, 0.5, 1.0)
    )
    assert_same({n: {"hr": sample["hr"].flip(-1)} for n, sample in plain.items()}, mirrored)
    flipped = [torch.equal(some[n]["hr"], mirrored[n]["hr"]) for n in range(12)]
    assert 2 < sum(flipped) < 10
    for n, is_flipped in enumerate(flipped):
        assert_same({n: some[n]}, mirrored if is_flipped else plain)
        assert (mirrored[n]["lr"].float() - plain[n]["lr"].flip(-1).float()).abs().max() <= 1


@pytest.mark.parametrize("degradation", ["bi", "bd"])
@pytest.mark.parametrize("count", [1, 10])
def test_pairs_of_any_number_of_frames(count, degradation):
    config = replace(RENDERED, frames=count, count=1, degradation=degradation)
    sample = samples(native_source(config, SCALE, 0, 1), range(1))[0]
    assert sample["hr"].shape == (3, count, 32, 32) and sample["lr"].shape == (3, count, 8, 8)
    shrunk = torch.nn.functional.avg_pool2d(sample["hr"].float().transpose(0, 1), 4).transpose(0, 1)
    assert (shrunk - sample["lr"].float()).abs().mean() < 12  # the LR is of this HR, frame by frame


def test_rendered_pairs_are_kept(tmp_path):
    config = replace(RENDERED, count=1, cache=str(tmp_path))
    first, again = (native_source(config, SCALE, 0, 1).tensors for _ in range(2))
    (file,) = tmp_path.iterdir()
    assert first.keys() == again.keys() == {"hr", "lr"} and all(
        torch.equal(x, again[name]) for name, x in first.items()
    )
    native_held_out(config, SCALE, "", 1)
    native_source(replace(config, degradation="bd"), SCALE, 0, 1)
    native_source(replace(config, flip=0.1), SCALE, 0, 1)
    assert len([*tmp_path.iterdir()]) == 3  # mirrored ones are made of the same
    file.write_bytes(b"broken")
    with pytest.raises(InputError, match="remove it, and it is rendered anew"):
        native_source(config, SCALE, 0, 1)


def test_held_out_pairs_are_of_other_photographs_and_never_mirrored(monkeypatch):
    shown, read = set(), photographs.photograph
    monkeypatch.setattr(photographs, "photograph", lambda name: shown.add(name) or read(name))
    config = replace(RENDERED, flip=1.0)
    held_out = native_held_out(config, SCALE, "", 3)
    assert len(held_out) == 3 and shown and shown <= {*SAMPLE_PHOTOGRAPHS}
    batch = samples(held_out, range(3))
    assert all(torch.equal(batch[n]["hr"], held_out.tensors["hr"][n]) for n in range(3))


def test_held_out_footage_is_not_trained_on_and_never_mirrored(reds, caplog):
    config = replace(FOOTAGE, manifest=reds, flip=1.0)
    check_native_footage(config, reds)  # the clips of REDS4 are held out
    held_out, source = native_held_out(config, SCALE, reds, 8), native_source(config, SCALE, 0, 1)
    assert isinstance(source, ClipSet) and [entry.path.name for entry in source.entries] == ["001", "002", "003"]
    assert len(held_out) == 1 and [entry.path.name for entry in held_out.entries] == ["000"]
    assert_same(
        samples(held_out, range(1)), samples(native_held_out(replace(config, flip=0.0), SCALE, reds, 8), range(1))
    )
    caplog.set_level("INFO", "realis")
    assert native_held_out(config, SCALE, "", 8) is None and "--validation.manifest names no footage" in caplog.text


def test_too_many_damaged_clips_are_told_of_by_the_flags_of_the_command(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "0.png").touch()
    with pytest.raises(InputError, match=r"0\.png: not a picture.*") as error:
        samples(native_source(replace(FOOTAGE, manifest=str(tmp_path)), SCALE, 0, 1), range(1))
    assert "--data.max-corrupt 0.05" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 0}, "--data.frames: got 0, wanted at least 1"),
        ({"crop": 60}, "--data.crop: got 60, wanted a multiple of 8, such as 64"),
        ({"crop": 0}, "--data.crop: got 0"),
        ({"degradation": "worse"}, "degradation preset: got 'worse'"),
        ({"flip": 1.5}, "--data.flip: got 1.5, wanted 0 to 1"),
        ({"count": 0}, "--data.count: got 0"),
        ({"manifest": "x", "workers": -1}, "--data.workers: got -1"),
        ({"manifest": "x", "max_corrupt": 2.0}, "--data.max-corrupt: got 2.0"),
        (
            {"manifest": "x", "count": 7},
            "--data.count with --data.manifest: .* for a run that renders clips; leave one",
        ),
        ({"manifest": "x", "cache": ""}, "--data.cache with --data.manifest"),
        ({"workers": 0}, "--data.workers without --data.manifest: .* for a run that reads footage; leave it out"),
        ({"max_corrupt": 0.5}, "--data.max-corrupt without --data.manifest"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        NativeDataConfig(**settings)


def test_manifests_are_checked_before_training(reds, tmp_path):
    check_native_footage(RENDERED, "")
    with pytest.raises(InputError, match=r"^--validation\.manifest without --data\.manifest"):
        check_native_footage(RENDERED, reds)
    with pytest.raises(InputError, match=r"^--data\.manifest .*none\.csv: got nothing there"):
        check_native_footage(replace(FOOTAGE, manifest=str(tmp_path / "none.csv")), "")
    table = tmp_path / "held_out.csv"
    table.write_text(f"file_name\n{reds}/002\n")
    with pytest.raises(InputError, match=r"^--validation\.manifest \S+: clips that are trained on, too: 1 of 1"):
        check_native_footage(replace(FOOTAGE, manifest=reds), str(table))
