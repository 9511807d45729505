"""Protocols, what they compare to, and the figures that papers print."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from realis.evaluation.protocols import PROTOCOLS
from realis.evaluation.published import DATA_SETS, FILE, Conditions, PublishedRow, load_tables, not_comparable, rows
from realis.metrics.base import Metric
from realis.metrics.registry import METRICS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
UNITS = {name: metric.unit for name, metric in METRICS.items()}
BI = Conditions("stablevsr", "raft", "bi")


def metric(name, flow=False, unit=None):
    return Metric(name, name, "lower", "", "", UNITS[name] if unit is None else unit, flow=flow)


def row(data_set, protocol, method, table="1") -> PublishedRow:
    (found,) = [r for r in rows(data_set, protocol) if (r.method, r.table.table) == (method, table)]
    return found


def test_protocols_measure_known_metrics():
    assert list(PROTOCOLS) == [
        "realis",
        "realisvsr",
        "realbasicvsr",
        "stablevsr",
        "dgaf_vsr",
        "videogigagan",
        "tecogan",
    ]
    for protocol in PROTOCOLS.values():
        assert set(protocol.metrics) <= set(UNITS), protocol.name
        assert set(protocol.deviations) <= set(protocol.metrics), protocol.name
        assert len(set(protocol.metrics)) == len(protocol.metrics)
        assert all(re.fullmatch(r"[A-Z].{15,115}\.", reason) for reason in protocol.deviations.values())
        assert protocol.flow or not [name for name in protocol.metrics if re.match("e_warp|rwe|warping|tof", name)]


def test_the_default_protocol_needs_no_weights_of_flow_and_deviates_from_nobody():
    assert PROTOCOLS["realis"].flow == "farneback"
    assert not PROTOCOLS["realis"].deviations


def test_tecogan_crops_and_drops_as_its_code_does():
    """``metrics.py``: the largest multiple of 32 that leaves at least 16 pixels; two frames less at each end."""
    tecogan = PROTOCOLS["tecogan"]
    assert [(side - 2 * tecogan.border) // tecogan.multiple * tecogan.multiple for side in (576, 720, 528, 527)] == [
        544, 704, 512, 480,
    ]  # fmt: skip
    assert tecogan.drop_ends == 2


def test_the_document_has_the_protocols_as_they_are():
    listed = {
        name: re.findall(r"`(\w+)`(\\\*)?", words)
        for name, words in re.findall(r"^- `(\w+)`: ((?:`\w+`(?:\\\*)?[,.]\s+)+)", DOCUMENT, re.M)
    }
    assert listed == {
        name: [(metric, "\\*" * (metric in protocol.deviations)) for metric in protocol.metrics]
        for name, protocol in PROTOCOLS.items()
    }
    (section,) = re.findall(r"^## 1\. .*?(?=^## 2)", DOCUMENT, re.M | re.S)
    table = {cells[0]: cells[1:] for cells in re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", section, re.M)}
    crops = {(0, 1): "none", (8, 32): "8 pixels, then to multiples of 32"}
    assert table == {
        name: (
            crops[protocol.border, protocol.multiple],
            f"all but {protocol.drop_ends} at each end" if protocol.drop_ends else "all",
            {"farneback": "Farneback", "raft": "RAFT", "": "none"}[protocol.flow],
        )
        for name, protocol in PROTOCOLS.items()
    }


def test_the_document_has_every_variant_of_a_metric_with_its_unit():
    assert dict(re.findall(r"^\| `(\w+)` \| ?([^|]*?) ?\| [^|]* \|$", DOCUMENT, re.M)) == UNITS


def test_the_document_counts_the_figures():
    tables = load_tables()
    figures = [x for table in tables for values in table.methods.values() for x in values if x is not None]
    assert f"{len(tables)} tables with {len(figures):,} figures" in " ".join(DOCUMENT.split())


def test_published_figures_are_of_all_four_papers_and_of_every_data_set():
    tables = load_tables()
    assert {table.protocol for table in tables} == {"realisvsr", "stablevsr", "dgaf_vsr", "videogigagan"}
    assert {table.data_set for table in tables} == set(DATA_SETS)
    for table in tables:
        for name, unit in table.units.items():
            assert unit == UNITS[name] or (table.protocol, name, unit) == ("realisvsr", "dover", "x1e-2")


@pytest.mark.parametrize(
    ("data_set", "protocol", "method", "figures"),
    [
        ("reds4", "stablevsr", "StableVSR", {"psnr_rgb": 27.97, "ssim_rgb": 0.8, "lpips_alex": 0.097, "dists": 0.045}),
        ("reds4", "dgaf_vsr", "DGAF-VSR", {"psnr_rgb": 28.17, "ssim_rgb": 0.804, "lpips_alex": 0.095, "dists": 0.043}),
        (
            "spmcs", "realisvsr", "RealisVSR",
            {"psnr_rgb": 27.36, "ssim_yiq": 0.8169, "lpips_alex": 0.1388, "dists": 0.0780, "dover": 51.68},
        ),
        ("videolq", "realisvsr", "RealisVSR", {"dover": 51.96, "musiq": 56.40, "niqe": 5.18}),
    ],
)  # fmt: skip
def test_known_figures_are_found(data_set, protocol, method, figures):
    found = row(data_set, protocol, method)
    assert {name: found.figures[name] for name in figures} == figures


def test_a_method_without_a_figure_has_none():
    edvr = next(r for r in rows("vid4", "videogigagan") if r.method == "EDVR" and r.table.degradation == "bi")
    assert edvr.figures == {"psnr_y": 27.35, "ssim_y": 0.8264}


def test_figures_are_converted_to_our_units():
    realisvsr = row("spmcs", "realisvsr", "RealisVSR")
    assert realisvsr.in_unit_of(metric("dover")) == pytest.approx(51.68)
    assert realisvsr.in_unit_of(metric("psnr_rgb")) == 27.36
    dgaf = row("reds4", "dgaf_vsr", "DGAF-VSR", table="3")
    assert dgaf.in_unit_of(metric("tlpips_stablevsr")) == pytest.approx(3.92)
    assert dgaf.in_unit_of(metric("tlpips_stablevsr", unit="")) == pytest.approx(0.00392)
    assert dgaf.in_unit_of(metric("tof_stablevsr", unit="px")) == pytest.approx(0.271)


def test_misprints_are_kept_with_a_note():
    cpc = row("spmcs", "realisvsr", "RealisVSR (CPC)", table="3")
    assert cpc.figures["psnr_rgb"] == 26.58 and "26.08" in cpc.note
    dists = row("reds4", "stablevsr", "StableVSR (no decoding of the guidance)", table="4")
    assert dists.figures["dists"] == 0.5 and "0.050" in dists.note
    assert row("reds4", "stablevsr", "StableVSR").note == ""


def test_a_figure_of_the_same_protocol_inputs_and_flow_is_comparable():
    assert not_comparable(metric("psnr_rgb"), row("reds4", "stablevsr", "StableVSR"), BI) == ""
    tof = metric("tof_stablevsr", flow=True)
    assert not_comparable(tof, row("reds4", "dgaf_vsr", "DGAF-VSR", table="3"), replace(BI, protocol="dgaf_vsr")) == ""


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        (replace(BI, protocol="realis"), "The figure is of the protocol stablevsr, ours of realis."),
        (replace(BI, degradation="bd"), "The degradation of its inputs is bi x4, of ours bd x4."),
        (replace(BI, scale=2), "The degradation of its inputs is bi x4, of ours bi x2."),
        (replace(BI, clips=2), "Its data set has 4 clips, ours 2."),
        (replace(BI, frames=(100, 9)), "Its clips have 100 frames, ours 9, 100."),
        (replace(BI, degradation="", inputs="mid"), "The degradation of its inputs is bi x4, of ours mid x4."),
        (replace(BI, degradation=""), "The degradation of its inputs is bi x4, of ours not known."),
    ],
)
def test_other_conditions_are_not_comparable_and_say_why(ours, reason):
    assert not_comparable(metric("psnr_rgb"), row("reds4", "stablevsr", "StableVSR"), ours) == reason


def test_a_metric_of_another_flow_is_not_comparable():
    dgaf = row("reds4", "dgaf_vsr", "DGAF-VSR", table="3")
    ours = Conditions("dgaf_vsr", "spynet", "bi")
    reason = not_comparable(metric("tof_stablevsr", flow=True), dgaf, ours)
    assert reason == "Its flow is estimated by raft, ours by spynet."
    assert not_comparable(metric("psnr_rgb"), dgaf, ours) == ""  # which needs no flow


def test_a_deviation_of_the_protocol_or_the_table_is_the_reason():
    lpips = metric("lpips_vgg")
    gigagan = row("reds4", "videogigagan", "VideoGigaGAN")
    ours = replace(BI, protocol="videogigagan")
    assert not_comparable(lpips, gigagan, ours) == PROTOCOLS["videogigagan"].deviations["lpips_vgg"]
    vid4 = row("vid4", "dgaf_vsr", "DGAF-VSR")
    assert "grey frames" in not_comparable(metric("lpips_alex"), vid4, replace(BI, protocol="dgaf_vsr"))
    assert not_comparable(metric("musiq"), vid4, replace(BI, protocol="dgaf_vsr")) == ""
    vimeo = row("vimeo90k_t", "stablevsr", "StableVSR")
    assert "seven frames" in not_comparable(metric("psnr_rgb"), vimeo, BI)


def test_what_may_stand_beside_ours_is_what_the_document_says():
    """Measured as the papers measured, by the flow that they used, of inputs as theirs."""
    comparable = {}
    for table in load_tables():
        ours = Conditions(table.protocol, PROTOCOLS[table.protocol].flow, table.degradation, table.scale)
        for found in rows(table.data_set, table.protocol):
            names = [name for name in found.figures if not not_comparable(metric(name), found, ours)]
            comparable.setdefault((table.protocol, table.data_set), set()).update(names)
    of_frames = {"psnr_rgb", "ssim_rgb", "lpips_alex", "dists", "musiq", "clipiqa", "niqe"}
    assert {key: names for key, names in comparable.items() if names} == {
        ("stablevsr", "reds4"): of_frames,
        ("dgaf_vsr", "reds4"): of_frames | {"tlpips_stablevsr", "tof_stablevsr"},
        ("dgaf_vsr", "vid4"): {"musiq", "clipiqa", "niqe"},
        ("dgaf_vsr", "videolq"): {"musiq", "clipiqa"},
        ("videogigagan", "reds4"): {"psnr_rgb", "ssim_rgb"},
        ("videogigagan", "vid4"): {"psnr_y", "ssim_y"},
        ("videogigagan", "udm10"): {"psnr_y", "ssim_y"},
    }


def test_figures_of_inputs_degraded_at_random_compare_with_nobody_s():
    spmcs = row("spmcs", "realisvsr", "RealisVSR")
    ours = Conditions("realisvsr", "raft", "second_order")
    assert {not_comparable(metric(name), spmcs, ours) for name in spmcs.figures} == {
        "Its inputs were degraded at random, and neither they nor the draws are published."
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "got a field 'colour'"),
        ({"data_set": "reds5"}, "data set: got reds5, wanted one of"),
        ({"metrics": ["psnr_rgb", "vmaf"]}, "metrics: got vmaf, wanted one of"),
        ({"methods": {"A": [1.0]}}, "A: got 1 figures, wanted 2"),
        ({"methods": {"A": [1.0, "2"]}}, "methods: got"),
        ({"degradation": "blur"}, "degradation: got 'blur'"),
        ({"notes": {"B": "what?"}}, "notes: got B, wanted one of A"),
        ({"deviations": {"niqe": "Because."}}, "deviations: got niqe, wanted one of"),
    ],
)
def test_a_wrong_field_is_refused(tmp_path, change, message):
    table = {
        "table": "1", "page": None, "data_set": "reds4", "degradation": "bi", "metrics": ["psnr_rgb", "ssim_rgb"],
        "methods": {"A": [27.5, None]},
    }  # fmt: skip
    papers = {"stablevsr": {"paper": "A paper", "units": {}, "tables": [table]}}
    file = tmp_path / "published.yaml"
    file.write_text(yaml.safe_dump(papers))
    assert load_tables(file)[0].methods == {"A": (27.5, None)}
    papers["stablevsr"]["tables"] = [table | change]
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(papers))
    with pytest.raises(ValueError, match=re.escape(message)):
        load_tables(changed)


def test_a_paper_of_no_protocol_is_refused(tmp_path):
    text = FILE.read_text().replace("\nstablevsr:\n", "\nunknown:\n")
    (tmp_path / "published.yaml").write_text(text)
    with pytest.raises(ValueError, match="protocol: got unknown, wanted one of dgaf_vsr"):
        load_tables(tmp_path / "published.yaml")


def test_published_figures_are_read_without_torch():
    code = (
        "import sys; from realis.evaluation.published import load_tables; load_tables(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
