"""The configuration of ``evaluate``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from realis.core.errors import require
from realis.evaluation.degraded import check_degradation
from realis.evaluation.protocols import PROTOCOLS
from realis.evaluation.published import DATA_SETS
from realis.metrics.registry import METRICS


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure restored videos against the ground truth, as the tables of papers do.

    Results that are there, made by anyone:
      evaluate.py --outputs results --ground-truth truth
      evaluate.py --outputs ours=results theirs=other/results --ground-truth truth --protocol stablevsr

    Methods that are run first:
      evaluate.py --method bicubic,cpc --clips footage --degradation clean mid
      evaluate.py --method bicubic "large=--model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --cpc out/cpc" --data test.jsonl

    Without ground truth, methods are run on two photographs filmed by a moving camera; without arguments, these methods
    are bicubic, Lanczos and realis-tiny.
    """

    outputs: tuple[str, ...] = ()  # folders of restored clips, NAME=FOLDER or FOLDER: a row of the table each
    method: tuple[str, ...] = ()  # methods to run: names, or NAME=FLAGS of upscale; gains are over the first
    ground_truth: str = ""  # folder of clips: videos, folders of frames
    data: str = ""  # manifest of ground truth, with captions, which are the prompts
    clips: str = ""  # folder of footage, which is shrunk to fit 1280x720 and taken as ground truth
    lr: str = ""  # folder of low-resolution clips of the same names; without a ground truth, a set that has none
    # of what is restored, a table each: clean, mild, mid, strong, a preset of make_lr, a YAML file of ranges; empty: clean
    # and mid. Beside --outputs or --lr, what made the inputs, so that published figures of the same may stand beside ours
    degradation: tuple[str, ...] = ()
    scale: int = 4  # how much smaller degraded clips are
    seed: int = 0  # of drawn degradations
    frames: int = 0  # of each clip at most; 0: all
    protocol: str = "realis"  # realis, realisvsr, realbasicvsr, stablevsr, dgaf_vsr, videogigagan, tecogan
    metrics: tuple[str, ...] = ()  # in place of those of the protocol; docs/protocols.md lists them
    flow: Literal["", "farneback", "raft", "spynet"] = ""  # estimator of optical flow; empty: the protocol's
    flow_weights: str = ""  # file with the weights of raft or spynet
    weights: str = ""  # folder with the networks of metrics; empty: where torch keeps what it downloads
    data_set: str = ""  # what the clips are, such as reds4: published figures of it stand beside ours
    allow_misaligned: bool = False  # show figures also of clips that do not lie on the truth
    device: str = "auto"  # of metrics; auto: cuda if there is one, else cpu; methods take theirs from their own flags
    workers: int = 0  # processes that measure; 0: one a core, or one on a GPU
    restart: bool = False  # restore anew what was restored with other settings
    output: str = "out/evaluation"  # folder of the table and of all that is made

    def __post_init__(self) -> None:
        truths = [f"--{name.replace('_', '-')}" for name in ("ground_truth", "data", "clips") if getattr(self, name)]
        require(len(truths) <= 1, "ground truth", " and ".join(truths), "one of them")
        require(
            not (self.outputs and self.method), "--outputs, --method", "both", "one: what is measured is there or made"
        )
        if self.outputs:
            require(not self.clips, "--clips", self.clips, "--ground-truth or --data, beside --outputs")
            require(not self.lr, "--lr", self.lr, "it beside --method only: --outputs are restored already")
        elif not self.method:
            given = [*truths, *(["--lr"] if self.lr else [])]
            require(not given, ", ".join(given), "nothing to measure", "--outputs or --method beside it")
        require(self.protocol in PROTOCOLS, "--protocol", self.protocol, f"one of {', '.join(PROTOCOLS)}")
        known = not self.data_set or self.data_set in DATA_SETS
        require(known, "--data-set", self.data_set, f"one of {', '.join(DATA_SETS)}")
        for name in self.metrics:
            require(name in METRICS, "--metrics", name, f"some of {', '.join(METRICS)}")
        for name in self.degradation:
            check_degradation(name)
        for flag in ("metrics", "degradation"):
            words = getattr(self, flag)
            twice = next((word for word in words if words.count(word) > 1), None)
            require(twice is None, f"--{flag}", f"{twice} twice", "each once")
        one_at_most = len(self.degradation) <= 1 or not (self.outputs or self.lr)
        require(one_at_most, "--degradation", ", ".join(self.degradation), "one: of what is given")
        fits = self.flow in ("raft", "spynet") or not self.flow_weights
        require(fits, "--flow-weights", self.flow_weights, "--flow raft or spynet with it")
        for name, least in (("scale", 1), ("seed", 0), ("frames", 0), ("workers", 0)):
            require(getattr(self, name) >= least, f"--{name}", getattr(self, name), f"{least} or more")
        known = re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device)
        require(bool(known), "--device", self.device, "auto, cpu, cuda, cuda:N or mps")

    def check_folders(self) -> None:
        """Make sure that the folders that are read are there, and that what is written does not get among them.

        Raises:
            InputError: one is missing, or the output is in one of them.
        """
        output = Path(self.output).resolve()
        for name in ("ground_truth", "clips", "lr", "weights"):
            flag, folder = f"--{name.replace('_', '-')}", getattr(self, name)
            require(not folder or Path(folder).is_dir(), f"{flag} {folder}", "no folder", "one")
            holds_output = folder and Path(folder).resolve() in (output, *output.parents)
            wanted = f"a folder that is not in {flag}, where clips are looked for"
            require(name == "weights" or not holds_output, "--output", self.output, wanted)
