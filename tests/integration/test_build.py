"""The builder without arguments: footage of every kind in, a set that others read out."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from PIL import Image

from realis.builder.miniature import plan
from realis.commands.__main__ import run_build, run_train_cpc
from realis.core.files import sha256
from realis.data.manifest import read_manifest
from realis.video.read import VideoReader


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("miniature")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_build([])
    return folder / "out" / "realisvideo_miniature" / "build"


def rows(ledger):
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def dropped(build, stage):
    return {one["name"].rsplit("-", 1 if stage in ("licences", "probe") else 2)[0]: one["reason"]
            for row in rows(build / "work" / f"{stage}.jsonl") for one in row["dropped"]}  # fmt: skip


@pytest.mark.slow
def test_each_stage_drops_what_was_made_for_it(built):
    assert dropped(built, "licences") == {"nobodys": "no licence named"}
    assert dropped(built, "probe") == {"damaged": "cannot be read", "small": "fewer than 216 lines"}
    assert dropped(built, "quality") == {"black": "black frames", "still": "frozen frames", "enlarged": "fake 4K"}
    assert dropped(built, "duplicates") == {"chelsea": "shows the same as another"}
    assert dropped(built, "keywords").keys() == {"wide_view", "rocket"}
    shots = [
        clip for row in rows(built / "work" / "scenes.jsonl") for clip in row["kept"] if "two_shots" in clip["name"]
    ]
    assert len(shots) == 2


@pytest.mark.slow
def test_the_set_is_whole(built):
    """Clips of the announced length, all that the card and the checksums name, nobody's footage on both sides."""
    folder = built / "RealisVideo-216P"
    tables = {split: rows(folder / split / "metadata.jsonl") for split in ("train", "test")}
    for split, table in tables.items():
        assert {row["file_name"] for row in table} | {"metadata.jsonl"} == {f.name for f in (folder / split).iterdir()}
        for row in table:
            with VideoReader(folder / split / row["file_name"]) as video:
                assert (sum(1 for _ in video), video.height, video.width) == (row["frame_count"], 216, 384)
    assert not {row["source_video"] for row in tables["train"]} & {row["source_video"] for row in tables["test"]}
    kept = {Path(row["source_video"]).name for table in tables.values() for row in table}
    shown = Counter(photograph for name in kept for photograph in plan()[name].photographs)
    assert len(kept) == 8 and set(shown.values()) == {1}
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        str(f.relative_to(folder)): sha256(f) for f in folder.rglob("*") if f.is_file() and f.name != "SHA256SUMS"
    }
    card = (folder / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["configs"][0]["data_files"][1] == {"split": "test", "path": "test/*"}
    assert "**Nobody has looked at 9 of 9 clips**" in card
    assert "| public domain or CC0, see skimage.data | scikit-image | 9 |" in card
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 1000


@pytest.mark.slow
def test_the_test_clips_have_a_smaller_version_and_lr(built):
    (row,) = rows(built / "RealisVideo-216P" / "test" / "metadata.jsonl")
    (small,) = rows(built / "RealisVideo-72P" / "test" / "metadata.jsonl")
    name = small["file_name"].removesuffix(".mkv")
    assert row["file_name"].startswith(name)
    for folder, size in (
        ("RealisVideo-72P/test", (72, 128)),
        ("RealisVideo-216P-LR", (54, 96)),
        ("RealisVideo-72P-LR", (18, 32)),
    ):
        with VideoReader(built / folder / f"{name}.mkv") as video:
            assert (video.height, video.width, sum(1 for _ in video)) == (*size, row["frame_count"])
    assert json.loads((built / "RealisVideo-216P-LR" / f"{name}.json").read_text())


@pytest.mark.slow
def test_datasets_and_training_read_it(built, tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.load_dataset(str(built / "RealisVideo-216P"), cache_dir=str(tmp_path / "cache"))
    videos = table.cast_column("video", datasets.Video(decode=False))
    assert (len(videos["train"]), len(videos["test"])) == (8, 1)
    assert videos["test"][0]["caption"] and videos["test"][0]["video"]["path"].endswith(".mp4")
    folder = built / "RealisVideo-216P" / "train"
    assert {entry.caption for entry in read_manifest(str(folder))} == set(videos["train"]["caption"])
    run_train_cpc(["--clips.manifest", str(folder), "--clips.buckets", "96x64", "--controlnet.layers", "3",
                   "--clips.frames", "5", "--clips.workers", "0", "--run.steps", "2", "--run.batch", "1",
                   "--run.threads", "1", "--run.output", str(tmp_path / "run")])  # fmt: skip
    assert list((tmp_path / "run").rglob("*.safetensors"))
