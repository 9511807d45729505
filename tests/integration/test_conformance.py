"""The trials of benchmarks/conformance.py, a few of each, for one method of each shape of ``Needs``."""

import pytest

from benchmark_files import load_benchmark

conformance = load_benchmark("conformance")
SUBJECTS = {
    "whole frames": conformance.Subject("bicubic"),
    "tiles, noise, overlapping segments": conformance.Subject("cpc"),
}
subjects = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


@subjects
def test_results_are_exact(subject, tmp_path):
    """As of the tiniest video, and of one that is cut; whatever was upscaled before."""
    assert conformance.inexact(subject, tmp_path, counts=(1, 2), sizes=((5, 8), (47, 33)), targets=("2x", "3x")) == []


@subjects
def test_killed_runs_end_with_the_same_bytes(subject, tmp_path):
    assert conformance.not_resumed(subject, tmp_path, moments=3) == []


def test_memory_does_not_grow(tmp_path):
    assert conformance.growing(SUBJECTS["whole frames"], tmp_path, lengths=(30, 380)) == []


@pytest.mark.parametrize("harm", conformance.HARMS)
def test_bad_weights_are_refused_in_one_line(harm, tmp_path):
    assert conformance.not_refused(SUBJECTS["tiles, noise, overlapping segments"], tmp_path, harms=[harm]) == []


def test_the_trials_find_what_is_wrong(tmp_path, monkeypatch):
    """A run that draws other noise each time, goes on from nothing, and takes weights that it cannot read."""
    upscale, made = conformance.run_upscale, []

    def careless(words):
        made.append(words)
        return upscale([*words, "--seed", str(len(made))])

    monkeypatch.setattr(conformance, "run_upscale", careless)
    monkeypatch.setattr(conformance, "attempt", lambda words, left: "done")
    subject = SUBJECTS["tiles, noise, overlapping segments"]
    found = conformance.inexact(subject, tmp_path, counts=(), sizes=(), targets=())
    assert found == ["made again, it has other bytes", "made beside another input, it has other bytes"]
    (tmp_path / "weights").mkdir()
