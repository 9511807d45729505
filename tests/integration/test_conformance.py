"""The trials of benchmarks/conformance.py, a few of each, for one method of each shape of ``Needs``."""

import itertools

import pytest
from safetensors.torch import save_file

from benchmark_files import load_benchmark
from small_basicvsr import small_weights

conformance = load_benchmark("conformance")
SHAPES = ("whole frames", "tiles, noise, overlapping segments", "tiles, what is carried on, frames looked ahead to")
subjects = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Those of a small BasicVSR."""
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(small_weights(), file)
    return file


@pytest.fixture
def subject(shape, weights):
    flags = {"bicubic": (), "cpc": (), "basicvsr": ("--basicvsr.weights", str(weights))}
    return dict(zip(SHAPES, itertools.starmap(conformance.Subject, flags.items()), strict=True))[shape]


@subjects
def test_results_are_exact(subject, tmp_path):
    """Of the tiniest video, and of one of several segments; whatever was upscaled before."""
    assert conformance.inexact(subject, tmp_path, counts=(1,), sizes=((5, 9),), targets=("2x", "3x"), long=9) == []


@subjects
def test_killed_runs_end_with_the_same_bytes(subject, tmp_path):
    assert conformance.not_resumed(subject, tmp_path, moments=2, frames=17) == []


def test_memory_does_not_grow(tmp_path):
    assert conformance.growing(conformance.Subject("bicubic"), tmp_path, lengths=(20, 140)) == []


@subjects
def test_bad_weights_are_refused_in_one_line(subject, tmp_path):
    assert conformance.not_refused(subject, tmp_path) == []


def test_the_trials_find_what_is_wrong(tmp_path, monkeypatch):
    """A run that draws other noise each time, goes on from nothing, and takes weights that it cannot read."""
    upscale, made = conformance.run_upscale, []

    def careless(words):
        made.append(words)
        return upscale([*words, "--seed", str(len(made))])

    monkeypatch.setattr(conformance, "run_upscale", careless)
    monkeypatch.setattr(conformance, "attempt", lambda words, left: "done")
    subject = conformance.Subject("cpc")
    found = conformance.inexact(subject, tmp_path, counts=(), sizes=(), targets=(), long=3)
    assert found == ["made again, it has other bytes", "made beside another input, it has other bytes"]
    found = conformance.not_refused(subject, tmp_path, harms=["gone"])
    assert len(found) == 4 and found[0].endswith(", gone: done")
