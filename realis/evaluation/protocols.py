"""Protocols: what exactly a paper's table measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """How clips are measured.

    Args:
        name: by which it is chosen.
        source: the paper with its tables, and the code if there is some.
        metrics: names of the metrics (:data:`realis.metrics.registry.METRICS`), in the order of their columns.
        border: pixels that are cut off at every side before anything is measured.
        multiple: the sides are then cut to multiples of it, around the centre.
        drop_ends: frames that are left out at the beginning and at the end.
        mean: ``clips``: the mean over frames of each clip, then over clips; ``frames``: over the frames of all clips.
        flow: the estimator of optical flow; empty: none of its metrics needs one.
        deviations: by metric, why our figures don't compare with the paper's.
    """

    name: str
    source: str
    metrics: tuple[str, ...]
    border: int = 0
    multiple: int = 1
    drop_ends: int = 0
    mean: Literal["clips", "frames"] = "clips"
    flow: Literal["", "farneback", "spynet", "raft"] = ""
    deviations: Mapping[str, str] = field(default_factory=dict)


PROTOCOLS: dict[str, Protocol] = {}
