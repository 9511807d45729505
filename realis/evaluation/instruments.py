"""What clips are measured by: a protocol, its metrics, their networks; and what of it is missing."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import realis
from realis.core.errors import require
from realis.core.log import logger
from realis.data.lr_sets.record import content_of
from realis.evaluation.config import EvaluateConfig
from realis.evaluation.networks import Weights
from realis.evaluation.protocols import PROTOCOLS, Protocol
from realis.metrics.base import Metric
from realis.metrics.registry import METRICS
from realis.upscaling.app.loading import usable_device

# Whose versions a measurement depends on
PACKAGES = (
    "realis", "torch", "torchvision", "torchmetrics", "piq", "pyiqa", "dover", "timm", "numpy", "scikit-image",
    "opencv-python-headless", "av", "imageio-ffmpeg",
)  # fmt: skip
CODE = ("metrics", "ops", "models/optical_flow", "evaluation/alignment")  # folders of ours that it depends on


@dataclass(frozen=True)
class Instruments:
    """What clips are measured by.

    Args:
        protocol: how frames are prepared.
        metrics: names of the metrics.
        flow: the estimator of optical flow; empty: none.
        weights: where networks are.
        device: on which metrics are computed.
    """

    protocol: Protocol
    metrics: tuple[str, ...]
    flow: str
    weights: Weights
    device: str = "cpu"

    def networks_of(self, metric: Metric) -> tuple[str, ...]:
        """Return the networks of a metric, the estimator of flow among them."""
        return (*metric.networks, *([self.flow] if metric.flow else []))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights that its metrics need, by the names of the networks."""
        return self.weights.digests(dict.fromkeys(n for name in self.metrics for n in self.networks_of(METRICS[name])))


def find_instruments(config: EvaluateConfig, has_truth: bool) -> tuple[Instruments, dict[str, str]]:
    """Find the metrics that can be measured; return also those that cannot, with the reason.

    Raises:
        InputError: one that was asked for by name cannot be measured, or nothing can.
    """
    protocol: Protocol = PROTOCOLS[config.protocol]
    names = config.metrics or protocol.metrics
    flow = (config.flow or protocol.flow or "farneback") if any(METRICS[name].flow for name in names) else ""
    files = {flow: Path(config.flow_weights)} if flow and config.flow_weights else {}
    weights = Weights(Path(config.weights) if config.weights else None, files)
    instruments, missing = Instruments(protocol, (), flow, weights), {}
    for name in names:
        metric = METRICS[name]
        lacks = [why for network in instruments.networks_of(metric) if (why := weights.missing(network))]
        if metric.reference and not has_truth:
            lacks = ["it compares with a ground truth, and none is given"]
        if lacks or (lacks := metric.lacks()):
            missing[name] = "; ".join(lacks)
    for name, why in missing.items():
        require(not config.metrics, f"--metrics {name}", f"it cannot be measured: {why}", "others, or what it lacks")
        logger.warning("%s is missing: %s", METRICS[name].title, why)
    left = tuple(name for name in names if name not in missing)
    wanted = "what is missing, or other --metrics"
    require(bool(left), f"--protocol {protocol.name}", "no metric that can be measured", wanted)
    return replace(instruments, metrics=left, device=usable_device(config.device)), missing


@cache
def versions() -> dict[str, str]:
    """Return the versions of what computes, and a digest of our code that does."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    root = Path(realis.__file__).parent
    files = [file for folder in CODE for file in sorted((root / folder).rglob("*.py"))]
    return found | {"code": content_of(files)}
