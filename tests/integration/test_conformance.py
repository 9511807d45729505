"""The trials of benchmarks/conformance.py, a few of each, for one method of each shape of ``Needs``."""

import re

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

import realis.comparators  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch
from benchmark_files import load_benchmark
from small_basicvsr import small_weights

conformance = load_benchmark("conformance")
METHODS = {  # by what they need
    "whole frames": "bicubic", "tiles, noise, overlapping segments": "cpc", "tiles that see around them": "image",
    "tiles, what is carried on, frames looked ahead to": "basicvsr",
}  # fmt: skip
WITH_WEIGHTS = [shape for shape, method in METHODS.items() if method != "bicubic"]


@pytest.fixture(scope="module")
def small_networks(tmp_path_factory):
    """The flags that name the weights of a small network, by method."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    weights = {"basicvsr": small_weights(), "image": Compact(num_feat=4, num_conv=1, upscale=2).state_dict()}
    for method, tensors in weights.items():
        save_file(tensors, folder / f"{method}.safetensors")
    return {method: (f"--{method}.weights", str(folder / f"{method}.safetensors")) for method in weights}


@pytest.fixture
def subject(shape, small_networks):
    return conformance.Subject(METHODS[shape], small_networks.get(METHODS[shape], ()))


@pytest.mark.parametrize("shape", METHODS)
def test_results_are_exact(subject, tmp_path):
    """Of the tiniest video, and of one of several segments; whatever was upscaled before."""
    assert conformance.inexact(subject, tmp_path, counts=(1,), sizes=((5, 9),), targets=("2x", "3x"), long=9) == []


@pytest.mark.parametrize("shape", METHODS)
def test_killed_runs_end_with_the_same_bytes(subject, tmp_path, capsys):
    assert conformance.not_resumed(subject, tmp_path, moments=2, frames=17) == []
    assert re.search(r"left [1-9] segments +resumed: the same bytes", capsys.readouterr().out)


def test_memory_does_not_grow(tmp_path):
    """Not by whole frames, of 3 MB each: for less than that these videos are too short."""
    assert conformance.growing(conformance.Subject("bicubic"), tmp_path, lengths=(60, 180), limit=0.6) == []


@pytest.mark.parametrize("shape", WITH_WEIGHTS)
def test_bad_weights_are_refused_in_one_line(subject, tmp_path):
    assert conformance.not_refused(subject, tmp_path) == []


def test_the_trials_find_what_is_wrong(tmp_path, monkeypatch):
    """A method that draws other noise each time, keeps all frames, and takes weights that it cannot read."""
    upscale, made, subject = conformance.run_upscale, [], conformance.Subject("cpc")

    def careless(words):
        made.append(words)
        return upscale([*words, "--seed", str(len(made))])

    monkeypatch.setattr(conformance, "run_upscale", careless)
    found = conformance.inexact(subject, tmp_path, counts=(), sizes=(), targets=(), long=3)
    assert found == ["made again, it has other bytes", "made beside another input, it has other bytes"]
    monkeypatch.setattr(conformance, "peak", lambda words: 400 + (300 if "140.mp4" in words[1] else 0))
    assert conformance.growing(subject, tmp_path, lengths=(20, 140)) == ["20 frames 400 MB, 140 frames 700 MB"]
    monkeypatch.setattr(conformance, "attempt", lambda words, left: "done")
    found = conformance.not_refused(subject, tmp_path, harms=["gone"])
    assert len(found) == 4 and found[0].endswith(", gone: done")
