"""``evaluate``: tables of results that are there and of methods that are run, faults that are planted, bad input."""

import csv
import json
import re
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from reads import unread_fields
from realis.commands.__main__ import run_evaluate
from realis.data.photographs import CameraMove, film, photograph
from realis.evaluation.config import EvaluateConfig
from realis.ops.pixels import planes_to_image, to_uint8
from realis.video.encoding import Encoding
from realis.video.source import open_source
from realis.video.write import SegmentWriter

SIZE = (120, 160)
QUICK = ["--metrics", "psnr_rgb", "ssim_rgb", "e_warp_lai"]


def write(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    with SegmentWriter(path, images[0].shape[:2], Fraction(25), Encoding("ffv1")) as sink:
        sink.write(0, [np.ascontiguousarray(image) for image in images])
    return path


def read(path):
    with open_source(path) as source:
        return [frame.rgb for frame in source.frames()]


def blurred(images):
    return [cv2.GaussianBlur(image, (0, 0), 1.0) for image in images]


@pytest.fixture(scope="module")
def truth():
    """Two films by a moving camera, 8 frames, (H, W, 3) uint8 each."""
    clips = {}
    for name, pan in (("coffee.png", 2.0), ("chelsea.png", 3.0)):
        y, x = 200.0, 300.0 if name == "coffee.png" else 150.0
        frames = film(photograph(name), CameraMove((y, x), (y + 4, x + 7 * pan)), 8, SIZE)
        clips[{"coffee.png": "a_cup", "chelsea.png": "b_cat"}[name]] = [
            planes_to_image(to_uint8(frame)) for frame in frames
        ]
    return clips


@pytest.fixture
def sets(truth, tmp_path, monkeypatch):
    """The ground truth in ``truth``, and blurred results in ``results``."""
    monkeypatch.chdir(tmp_path)
    for name, images in truth.items():
        write(tmp_path / "truth" / f"{name}.mkv", images)
        write(tmp_path / "results" / f"{name}.mkv", blurred(images))
    return tmp_path


def written(ending):
    return (Path("out/evaluation") / f"table.{ending}").read_text()


def matrix(red, blue):
    """From RGB to Y'CbCr, full range."""
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, (np.eye(3)[2] - luma) / (2 - 2 * blue), (np.eye(3)[0] - luma) / (2 - 2 * red)])


def misread(image):
    """What is written by BT.601 and read by BT.709."""
    change = np.linalg.inv(matrix(0.2126, 0.0722)) @ matrix(0.299, 0.114)
    return (image @ change.T).clip(0, 255).round().astype(np.uint8)


def evaluate(*words):
    """Run the command; returns the table as JSON holds it."""
    run_evaluate([str(word) for word in words])
    return json.loads(written("json"))


def fails(words, capsys, *said):
    """Run the command, which ends with exit code 2 and a line that says ``said``."""
    with pytest.raises(SystemExit) as stop:
        run_evaluate([str(word) for word in words])
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and all(one in line for one in said), line


def test_results_of_others_are_measured_as_scikit_image_does(sets, truth, capsys):
    with unread_fields(EvaluateConfig) as unread:
        table = evaluate("--outputs", "results", "--ground-truth", "truth", *QUICK)
    made = {"scale", "degradation", "seed", "method", "lr", "restart"}  # of what is made, and nothing is here
    assert {name.removeprefix("EvaluateConfig.") for name in unread} <= made
    for clip in table["clips"]:
        images = truth[clip["clip"]]
        pairs = list(zip(blurred(images), images, strict=True))
        np.testing.assert_allclose(clip["measured"]["values"]["psnr_rgb"],
                                   [peak_signal_noise_ratio(b, a) for a, b in pairs], atol=1e-4)  # fmt: skip
        similar = [
            structural_similarity(
                a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
            )[1]
            for a, b in pairs
        ]
        np.testing.assert_allclose(
            clip["measured"]["values"]["ssim_rgb"], [x[5:-5, 5:-5].mean() for x in similar], atol=1e-4
        )
        assert len(clip["measured"]["values"]["e_warp_lai"]) == 7 and clip["measured"]["faults"] == []
    assert table["networks"] == {} and table["optical flow"] == "farneback" and table["versions"]["realis"]
    assert [one["content"] for one in table["test set"]] and table["protocol"]["name"] == "realis"
    (mean,) = table["means"]
    low, high = mean["mean"]["psnr_rgb"]["low"], mean["mean"]["psnr_rgb"]["high"]
    assert low < mean["mean"]["psnr_rgb"]["mean"] < high and mean["mean"]["psnr_rgb"]["clips"] == 2
    assert "| results |" in capsys.readouterr().out and "| results |" in written("md")
    assert sorted(path.name for path in (sets / "out/evaluation/sheets").iterdir()) == ["a_cup.png", "b_cat.png"]


def test_what_was_measured_is_not_measured_again(sets, monkeypatch):
    words = ["--outputs", "results", "--ground-truth", "truth", "--metrics"]
    first = evaluate(*words, "psnr_rgb")
    ledger = sets / "out/evaluation/measured.jsonl"
    lines = ledger.read_bytes()
    assert evaluate(*words, "psnr_rgb") == first and ledger.read_bytes() == lines
    ledger.write_bytes(lines[: len(lines) // 2 + 40])  # killed in the middle of the second clip
    assert evaluate(*words, "psnr_rgb") == first
    both = evaluate(*words, "psnr_rgb", "gmsd")
    assert [one["mean"]["psnr_rgb"] for one in both["means"]] == [one["mean"]["psnr_rgb"] for one in first["means"]]
    shutil.copy(sets / "truth" / "a_cup.mkv", sets / "results" / "a_cup.mkv")
    again = evaluate(*words, "psnr_rgb")
    assert [one["measured"]["values"]["psnr_rgb"][0] for one in again["clips"]] == [
        100.0, first["clips"][1]["measured"]["values"]["psnr_rgb"][0]
    ]  # fmt: skip


def test_methods_are_run_on_clips_that_are_degraded_on_the_spot(sets, capsys):
    (sets / "set.jsonl").write_text('{"file_name": "truth/a_cup.mkv", "caption": "a cup"}\n')
    words = ["--method", "bicubic,lanczos", "none=--method cpc --strength 0", "--data", "set.jsonl", "--frames", "5", *QUICK,
             "--degradation", "clean", "bd"]  # fmt: skip
    table = evaluate(*words)
    said = capsys.readouterr().err
    assert "none: takes no text; captions are not used" in said and "a cup" in json.dumps(table["test set"])
    assert "cut short" not in said  # of files that it made itself
    means = {(one["case"], one["row"]): one["mean"]["psnr_rgb"]["mean"] for one in table["means"]}
    assert means["clean", "lanczos"] > means["clean", "bicubic"] > means["bd", "bicubic"]
    assert means["clean", "none"] == means["clean", "bicubic"]  # at strength 0 nothing is left of the model
    assert table["means"][1]["over the first row"]["psnr_rgb"]["mean"] == pytest.approx(
        means["clean", "lanczos"] - means["clean", "bicubic"]
    )
    lr = read(sets / "out/evaluation/lr/clean/a_cup.mkv")
    assert len(lr) == 5 and lr[0].shape == (30, 40, 3)
    assert len(read(sets / "out/evaluation/restored/bd/lanczos/a_cup.mkv")) == 5
    assert all(one["seconds a frame"] > 0 for one in table["means"])
    if sys.platform == "linux":
        assert all(0.1 < one["peak memory, GiB"] < 4 for one in table["means"])
        assert "| s a frame | peak GiB |" in (sets / "out/evaluation/table.md").read_text()
    assert table["methods"]["none"]["settings"]["strength"] == 0 and table["degradations"]["bd"]["ranges"]["end"][
        "filters"
    ] == ["gaussian"]
    before = (sets / "out/evaluation/restored/bd/lanczos/a_cup.mkv").stat().st_mtime_ns
    assert evaluate(*words) == table  # also how long it took then
    assert (sets / "out/evaluation/restored/bd/lanczos/a_cup.mkv").stat().st_mtime_ns == before


def test_a_method_without_its_weights_is_a_row_without_figures(sets, capsys):
    """And stops no other; if all are without, nothing is made."""
    words = ["--ground-truth", "truth", "--frames", "3", *QUICK, "--degradation", "clean", "--output", "missing"]
    lacking = "BasicVSR=--method basicvsr --basicvsr.weights nowhere.pth"
    with pytest.raises(SystemExit) as stop:
        run_evaluate(["--method", lacking, "bicubic", "lanczos", *words])
    said, table = capsys.readouterr().err, (sets / "missing/table.md").read_text()
    assert stop.value.code == 2 and "BasicVSR: left out: --basicvsr.weights nowhere.pth: nothing there" in said
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    assert {"bicubic", "lanczos", "BasicVSR (0 of 2 clips)"} <= rows.keys() and "nothing there" in table
    assert "Over bicubic" in table  # gains are over the first that there is
    with pytest.raises(SystemExit):
        run_evaluate(["--method", lacking, "--ground-truth", "truth", "--output", "none"])
    assert "realis: --basicvsr.weights nowhere.pth: nothing there" in capsys.readouterr().err
    assert not (sets / "none/table.md").exists()


def test_low_resolution_that_is_there_and_sets_without_a_truth(sets, truth):
    for name, images in truth.items():
        write(
            sets / "lr" / f"{name}.mkv", [cv2.resize(image, (40, 30), interpolation=cv2.INTER_AREA) for image in images]
        )
    table = evaluate("--method", "bicubic", "--ground-truth", "truth", "--lr", "lr", "--frames", "4", *QUICK)
    assert [one["measured"]["frames"] for one in table["clips"]] == [4, 4] and table["degradations"] == {}
    shutil.rmtree("out")
    table = evaluate("--method", "bicubic", "--lr", "lr", "--metrics", "e_warp_videogigagan", "--scale", "2")
    assert [one["measured"]["size"] for one in table["clips"]] == [[60, 80]] * 2
    table = evaluate("--outputs", "ours=results", "--metrics", "e_warp_videogigagan")
    assert table["means"][0]["row"] == "ours" and table["clips"][0]["measured"]["alignment"] == {}


PLANTED = {  # what is done to a result, and what is said of it
    "a pixel": (lambda x: [np.roll(image, 1, axis=1) for image in x], r"shifted by 1\.0"),
    "half a pixel": (
        lambda x: [cv2.warpAffine(i, np.float32([[1, 0, 0.5], [0, 1, 0.5]]), i.shape[1::-1], borderMode=cv2.BORDER_REPLICATE) for i in x],
        r"shifted by 0\.5",
    ),
    "late": (lambda x: [x[0], *x[:-1]], "late"),
    "twice": (lambda x: [*x[:4], x[3], *x[5:]], "frame 4"),
    "the matrix": (lambda x: [*map(misread, x)], "BT.601 read as BT.709"),
    "limited": (lambda x: [(i * (219 / 255) + 16).round().astype(np.uint8) for i in x], "limited range"),
    "centre crop": (lambda x: [i[4:-4, 8:-8] for i in x], "centre"),
    "frames": (lambda x: x[:-1], "has 7 frames, the truth 8"),
}  # fmt: skip


def test_planted_faults_are_named_and_nothing_is_measured(sets, truth, capsys):
    rows = [f"row {number}" for number in range(len(PLANTED))]
    for row, (change, _) in zip(rows, PLANTED.values(), strict=True):
        write(sets / row / "a_cup.mkv", change(blurred(truth["a_cup"])))
        shutil.copy(sets / "results" / "b_cat.mkv", sets / row)
    words = ["--outputs", *rows, "--ground-truth", "truth", "--metrics", "psnr_rgb"]
    fails(words, capsys, "8 of 16 results cannot be compared with the truth, such as row 0, a_cup")
    text, lines = written("md"), list(csv.DictReader(written("csv").splitlines()))
    for row, (fault, (_, said)) in zip(rows, PLANTED.items(), strict=True):
        assert re.search(rf"- {row}, a\\_cup: .*{said}", text), (fault, text)
        figures = [(bool(line["mean"]), bool(line["faults"])) for line in lines if line["row"] == row]
        assert figures == [(False, True), (True, False)], fault


def test_a_shift_may_be_allowed(sets, truth):
    write(sets / "results" / "a_cup.mkv", [np.roll(image, 2, axis=0) for image in truth["a_cup"]])
    table = evaluate("--outputs", "results", "--ground-truth", "truth", "--metrics", "psnr_rgb", "--allow-misaligned")
    assert table["clips"][0]["measured"]["faults"] and table["means"][0]["mean"]["psnr_rgb"]["clips"] == 2
    assert "what could be measured counts" in written("md")


def test_clips_that_are_too_short_for_a_protocol_are_named(sets, capsys):
    words = ["--outputs", "results", "--ground-truth", "truth", "--metrics", "psnr_y", "--protocol", "tecogan"]
    fails([*words, "--frames", "4"], capsys, "4 frames are too few for the protocol tecogan")
    assert len(evaluate(*words)["clips"][0]["measured"]["values"]["psnr_y"]) == 4  # of 8


def test_a_damaged_clip_does_not_stop_the_others(sets, capsys):
    file = sets / "results" / "a_cup.mkv"
    file.write_bytes(file.read_bytes()[:6000])
    fails(["--outputs", "results", "--ground-truth", "truth", "--metrics", "psnr_rgb"], capsys, "1 of 2 results")
    rows = list(csv.DictReader(written("csv").splitlines()))
    assert not rows[0]["mean"] and "could not be measured" in rows[0]["faults"] and rows[1]["mean"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--outputs", "nowhere"], "--outputs nowhere: got no folder there"),
        (["--outputs", "results", "--method", "bicubic"], "--outputs, --method: got both"),
        (["--outputs", "results", "--ground-truth", "nowhere"], "--ground-truth nowhere: got no folder"),
        (["--outputs", "results", "a=results", "--ground-truth", "truth", "--clips", "truth"], "ground truth: got"),
        (["--outputs", "results", "results", "--ground-truth", "truth"], "results twice"),
        (["--ground-truth", "truth"], "wanted --outputs or --method beside it"),
        (["--method", "bicubic", "--ground-truth", "truth", "--degradation", "foggy"], "--degradation: got 'foggy'"),
        (["--method", "magic", "--ground-truth", "truth"], "--method: got 'magic'"),
        (["--method", "bicubic", "bicubic", "--ground-truth", "truth"], "rows: got bicubic twice"),
        (["--protocol", "magic"], "--protocol: got magic"),
        (["--metrics", "magic"], "--metrics: got magic"),
        (["--data-set", "magic"], "--data-set: got magic"),
        (["--frames", "-1"], "--frames: got -1"),
        (["--metrics", "gmsd", "gmsd"], "--metrics: got gmsd twice"),
        (["--degradation", "mid", "mid"], "--degradation: got mid twice"),
        (["--outputs", "results", "--degradation", "bi", "bd"], "--degradation: got bi, bd, wanted one"),
        (["--flow-weights", "truth/a_cup.mkv"], "--flow raft or spynet with it"),
        (["--outputs", "ours="], "--outputs ours=: got no folder there"),
        (["--method", "a=--help"], "--method a: got --help"),
        (
            ["--outputs", "results", "--ground-truth", "truth", "--metrics", "lpips_vgg", "--weights", "truth"],
            "curl -L",
        ),
        (["--outputs", "results", "--metrics", "psnr_rgb"], "it compares with a ground truth, and none is given"),
        (
            ["--outputs", "results", "--ground-truth", "truth", "--output", "truth/a_cup.mkv"],
            "--output: got truth/a_cup.mkv, wanted a folder that is not in --ground-truth",
        ),
    ],
)
def test_bad_input_is_one_line(words, said, sets, capsys):
    fails(words, capsys, said)
    assert not (sets / "out").exists()


def test_metrics_without_their_weights_are_named_in_the_table(sets, capsys):
    table = evaluate("--outputs", "results", "--ground-truth", "truth", "--protocol", "videogigagan", "--weights", "results",
                     "--flow", "farneback")  # fmt: skip
    assert "vgg16-397923af.pth: no file there; curl -L" in table["missing"]["lpips_vgg"]
    assert "**LPIPS (VGG16)** is missing" in written("md")
    assert {"psnr_rgb", "ssim_rgb", "rwe"} <= set(table["means"][0]["mean"]) and "is missing" in capsys.readouterr().err


def test_clips_and_degradations_that_are_nearly_named_alike_stay_apart(sets, truth):
    shutil.rmtree(sets / "truth")
    write(sets / "truth" / "a" / "b.mkv", truth["a_cup"])
    write(sets / "truth" / "a_b.mkv", truth["b_cat"])
    for folder, scale in (("p", 0.2), ("q", 8.0)):
        (sets / folder).mkdir()
        (sets / folder / "x.yaml").write_text(
            f"clean: 0.0\nfirst: {{blur: {{probability: 1.0, sigma: [{scale}, {scale}]}}}}\n"
        )
    words = [
        "--method",
        "bicubic",
        "--ground-truth",
        "truth",
        "--metrics",
        "psnr_rgb",
        "--degradation",
        "p/x.yaml",
        "q/x.yaml",
    ]
    table = evaluate(*words)
    assert len({path.parent for path in (sets / "out/evaluation/lr").rglob("*.mkv")}) == 2
    assert len(list((sets / "out/evaluation/restored").rglob("*.mkv"))) == 4
    values = [one["measured"]["values"]["psnr_rgb"][0] for one in table["clips"]]
    assert len(set(values)) == 4 and min(values) > 12  # of another clip it would be less


def test_a_file_that_changes_in_the_middle_is_measured_anew(sets):
    words = ["--outputs", "results", "--ground-truth", "truth", "--metrics", "psnr_rgb"]
    first = evaluate(*words)
    later = write(sets / "later.mkv", blurred(blurred(read(sets / "results" / "a_cup.mkv"))))
    shutil.copy(later, sets / "results" / "a_cup.mkv")
    second = evaluate(*words)
    assert second["means"][0]["mean"]["psnr_rgb"]["mean"] < first["means"][0]["mean"]["psnr_rgb"]["mean"] - 0.5


def test_results_of_other_settings_are_not_taken_for_these(sets, capsys):
    words = ["--method", "bicubic", "--ground-truth", "truth", "--metrics", "psnr_rgb", "--degradation", "bi"]
    evaluate(*words)
    before = written("json")
    fails([*words, "--frames", "5"], capsys, "is there from an earlier run: of another input", "--restart")
    assert written("json") == before
    assert evaluate(*words, "--frames", "5", "--restart")["clips"][0]["measured"]["frames"] == 5


@pytest.mark.slow
def test_bare_it_makes_a_table_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = evaluate("--frames", "2", "--metrics", "psnr_rgb", "--degradation", "mid")
    assert [one["row"] for one in table["means"]] == ["bicubic", "lanczos", "cpc"] and len(table["clips"]) == 18
    means = [one["mean"]["psnr_rgb"]["mean"] for one in table["means"]]
    assert means[2] > means[0] + 0.5
