"""The parts of an evaluation: degradations, test sets, intervals, tables; and what realis-tiny has to reach."""

import csv
import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from realis.core.errors import InputError
from realis.data.photographs import TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.degradation.second_order import degrade
from realis.evaluation.degraded import PINNED, check_degradation, parameters_of
from realis.evaluation.footage import Footage
from realis.evaluation.ledger import LEDGER, open_ledger
from realis.evaluation.measure import Measured
from realis.evaluation.protocols import PROTOCOLS, Protocol
from realis.evaluation.report import markdown, to_csv, to_json
from realis.evaluation.restore import method_rows
from realis.evaluation.statistics import differences, estimate
from realis.evaluation.table import Result, Table
from realis.evaluation.test_sets import Clip, clips_of_manifest, films, match
from realis.methods.registry import find_method
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.registry import METRICS
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from realis.upscaling.stream import Frame, upscale_stream
from small_clips import clip


def panned(frames, pixels):
    y, x = 200.0, 300.0
    return film(photograph("coffee.png"), CameraMove((y, x), (y, x + pixels * (frames - 1))), frames, (96, 128))


def degraded(hr, case):
    return degrade(hr, parameters_of(case, 4, 0, "clip", len(hr), (hr.shape[2], hr.shape[3])))


# 1. Degradations


@pytest.mark.parametrize(("case", "spread"), zip(PINNED, (0.00339, 0.03357, 0.04306, 0.06187), strict=True), ids=PINNED)
def test_degradations_are_pinned(case, spread):
    """How far from plain resizing each takes a clip, which a changed strength, order or seed would move."""
    hr = panned(5, 1.5)
    assert float((degraded(hr, case) - resize(hr, (24, 32))).square().mean().sqrt()) == pytest.approx(spread, rel=0.02)


def test_a_drawn_degradation_depends_on_seed_and_name():
    draws = [
        parameters_of("realbasicvsr", 4, seed, name, 5, (96, 128))
        for seed, name in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))
    ]
    assert draws[0] == draws[1] and draws[0] != draws[2] and draws[0] != draws[3]


def test_degradations_of_other_names_are_refused(tmp_path):
    for name in (*PINNED, "bd", "real_esrgan"):
        check_degradation(name)
    for name in ("foggy", str(tmp_path / "ranges.yaml")):
        with pytest.raises(InputError, match=re.escape(name)):
            check_degradation(name)


def test_the_rendered_films_are_held_out():
    names = {name.rsplit("_", 1)[0].removesuffix("_1").removesuffix("_5") for name in films(1)}
    assert names == {"coffee", "hubble_deep_field"}
    assert not names & {name.split(".")[0] for name in TRAINING_PHOTOGRAPHS}


@pytest.mark.parametrize(("case", "least"), [("clean", -0.1), ("mild", 0.2), ("mid", 0.3), ("strong", 0.4)])
def test_realis_tiny_gains_over_bicubic_on_a_photograph_it_never_saw(case, least):
    method, hr = find_method("cpc"), panned(5, 1.5)
    upscaler, lr = method.load(method.Config(), Placement(dtype="bfloat16"), [""]), degraded(hr, case)
    tiles = plan_tiles((96, 128), None, 0, 16)
    (segment,) = upscale_stream(upscaler, map(Frame, lr), (96, 128), tiles, 0, advance=lambda share: None)
    ours, bicubic = (
        measure_pairs(zip(x, hr, strict=True), [METRICS["psnr_rgb"]], Tools())["psnr_rgb"].mean()
        for x in (segment.frames, resize(lr, (96, 128)).clamp(0, 1))
    )
    assert ours - bicubic > least


# 2. Test sets


def test_results_are_matched_by_name(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("000.mkv", "001_4x.mkv", "0010.mkv"):
        clip(folder / name, 2)
    wanted = [Clip("000", Footage(Path("t"), frames=2)), Clip("001", Footage(Path("t")))]
    assert match(wanted, folder, "--outputs") == [Footage(folder / "000.mkv", 0, 2), Footage(folder / "001_4x.mkv")]
    with pytest.raises(InputError, match=r"1 of 2 clips have no result there, or several: 002.*same name"):
        match([wanted[0], Clip("002", None)], folder, "--outputs")
    clip(folder / "001_8x.mkv", 2)
    with pytest.raises(InputError, match=r"001; it has 001_[48]x, 001_[48]x"):
        match(wanted, folder, "--outputs")
    only = tmp_path / "only"
    only.mkdir()
    clip(only / "whatever.mkv", 2)
    assert match(wanted[:1], only, "--outputs") == [Footage(only / "whatever.mkv", 0, 2)]


def test_a_manifest_gives_captions_and_parts(tmp_path):
    clip(tmp_path / "a.mkv", 9)
    rows = [{"file_name": "a.mkv", "caption": "a cat"}, {"file_name": "a.mkv", "start": 4, "frames": 3}]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = clips_of_manifest(str(tmp_path / "set.jsonl"), 2, 4)
    assert (first.name, first.prompt, first.truth) == ("a", "a cat", Footage(tmp_path / "a.mkv", 0, 2, 4))
    assert (second.name, second.truth) == ("a_4", Footage(tmp_path / "a.mkv", 4, 2, 4))
    assert [len(list(one.truth.read())) for one in (first, second)] == [2, 2]
    assert next(second.truth.read()).shape == (3, 28, 44)
    (tmp_path / "set.jsonl").write_text("\n".join([json.dumps(rows[0])] * 2))
    with pytest.raises(InputError, match="two clips of the name a"):
        clips_of_manifest(str(tmp_path / "set.jsonl"), None, 1)


def test_footage_has_the_frames_it_is_asked_for(tmp_path):
    path = clip(tmp_path / "a.mkv", 6)
    every = list(Footage(path).read())
    assert (
        len(every) == 6 and Footage(path, 2, 3).announced_frames() == 3 and Footage(path, 5, 3).announced_frames() == 1
    )
    assert all(torch.equal(a, b) for a, b in zip(Footage(path, 2, 3).read(), every[2:5], strict=True))
    with pytest.raises(InputError, match="no frame 6"):
        list(Footage(path, 6).read())


def test_rows_are_names_or_flags():
    rows = method_rows(["bicubic,lanczos", "sharp = --method cpc --strength 1"])
    assert [(row.name, row.config.method) for row in rows] == [
        ("bicubic", "bicubic"),
        ("lanczos", "lanczos"),
        ("sharp", "cpc"),
    ]
    assert rows[2].config.strength == 1
    for word, said in (
        ("magic", "names of methods"),
        ("x=--method magic", "x: --method: got 'magic'"),
        ("x=--method bicubic --target 2x --crf 3", "--target, --crf, wanted flags of the method"),
        ("x=--prompt 'a", "No closing quotation"),
    ):
        with pytest.raises(InputError, match=said):
            method_rows([word])


# 3. Statistics and the ledger


def test_means_and_their_intervals():
    one = estimate([np.array([1.0, 2.0])])
    assert (one.mean, one.low, one.high, one.clips) == (1.5, None, None, 1)
    clips = [np.ones(3), np.zeros(6)]
    assert estimate(clips).mean == 0.5  # each clip counts the same
    rng = np.random.default_rng(1)
    sample = [rng.normal(30, 2, 1) for _ in range(50)]
    found = estimate(sample)
    half = 1.96 * np.std(sample) / 50**0.5
    assert found.low == pytest.approx(found.mean - half, abs=0.1) and found.high == pytest.approx(
        found.mean + half, abs=0.1
    )
    assert found == estimate(sample)  # the same each time
    gains = differences([x + 0.5 for x in sample], sample)
    assert estimate(gains).low == pytest.approx(0.5)  # clips differ, the gain does not


def test_the_ledger_adds_up_and_leaves_out_torn_lines(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.add("a", {"psnr": [1.0]})
        ledger.add("a", {"ssim": [2.0]})
        with pytest.raises(InputError, match="another process"), open_ledger(tmp_path):
            pass
    with (tmp_path / LEDGER).open("ab") as file:
        file.write(b'{"key": 3}\nnull\n{"key": "b", "facts": {"psn')
    with open_ledger(tmp_path) as ledger:
        assert ledger.facts("a") == {"psnr": [1.0], "ssim": [2.0]} and ledger.facts("b") == {}
        ledger.add("c", {"x": 1})
    with open_ledger(tmp_path) as ledger:
        assert ledger.facts("c") == {"x": 1}


# 4. The table


FACTS = {"scale": 4, "inputs": "", "frames at most": 0}


def measured(psnr, gmsd=0.1, faults=()):
    return Measured(2, (64, 64), {"psnr_rgb": [psnr, psnr], "gmsd": [gmsd]}, {}, faults)


def table_of(results, **more):
    return Table(
        PROTOCOLS["realis"],
        ("psnr_rgb", "gmsd"),
        {},
        "",
        results,
        **({"allow_misaligned": False, "data_set": "", "facts": FACTS} | more),
    )


HOSTILE = ("=HYPERLINK(1)", "<img src=x onerror=alert(1)>|[a](b)\n# x", "@`c`")


def test_names_become_neither_markup_nor_formulas():
    results = [Result(HOSTILE[0], HOSTILE[1], HOSTILE[2], measured(30, faults=("<script>",)))]
    text = "\n".join(markdown(table_of(results)))
    assert "<img" not in text and "<script>" not in text and "\n# x" not in text and "[a](b)" not in text
    assert all(line.count("|") - line.count(r"\|") in (0, 4, 6) for line in text.splitlines() if line.startswith("|"))
    (_, *lines) = csv.reader(StringIO(to_csv(table_of(results))))
    assert len(lines) == 2 and all(not cell.startswith(("=", "@", "+")) for line in lines for cell in line)
    assert json.loads(to_json(table_of(results)))["clips"][0]["row"] == HOSTILE[1]


def test_the_best_are_bold_and_the_worst_come_first():
    results = [
        Result("", row, name, measured(psnr, gmsd))
        for row, gmsd, figures in (("bicubic", 0.2, (30, 20)), ("ours", 0.1, (31, 22)))
        for name, psnr in zip(("a", "b"), figures, strict=True)
    ]
    text = "\n".join(markdown(table_of(results)))
    assert "| bicubic | 25.00 | 0.2000 |" in text and "| ours | **26.50** | **0.1000** |" in text
    assert re.search(r"\| ours \| \+1\.50 \[\+1\.00, \+2\.00\] \| -0\.1000 \[-0\.1000, -0\.1000\] \|", text)
    worst = text[text.index("worst first") :]
    assert worst.index("| bicubic | b |") < worst.index("| bicubic | a |")


def test_a_clip_that_does_not_lie_on_the_truth_is_shown_and_does_not_count():
    results = [
        Result("", "ours", "a", measured(30)),
        Result("", "ours", "b", measured(10, faults=("shifted by 1 px",))),
    ]
    text = "\n".join(markdown(table_of(results)))
    assert (
        "| ours (1 of 2 clips) | 30.00 |" in text
        and "ours, b: shifted by 1 px" in text
        and "|  | ours | b |  |  |" in text
    )
    assert "| ours (1 of 2 with faults) | 20.00 |" in "\n".join(markdown(table_of(results, allow_misaligned=True)))


def test_published_figures_stand_where_they_compare():
    values = Measured(100, (64, 64), {"psnr_rgb": [28.0], "tof_stablevsr": [3.0]})
    results = [Result("clean", "ours", name, values) for name in ("000", "011", "015", "020")]
    table = Table(PROTOCOLS["dgaf_vsr"], ("psnr_rgb", "tof_stablevsr"), {}, "farneback", results, False, "reds4", FACTS)
    text = "\n".join(markdown(table))
    row = next(line for line in text.splitlines() if line.startswith("| *DGAF-VSR"))
    assert "28.17" in row and row.endswith("|  |")
    assert "estimated by raft, ours by farneback" in text
    table = Table(PROTOCOLS["dgaf_vsr"], ("psnr_rgb",), {}, "", results, False, "reds4", FACTS | {"scale": 2})
    assert "| *DGAF-VSR" not in "\n".join(markdown(table))


def test_protocols_name_metrics_that_are_there():
    for protocol in PROTOCOLS.values():
        assert isinstance(protocol, Protocol) and set(protocol.metrics) <= set(METRICS), protocol.name
