"""The protocol of a metric: the frames of a video go in one by one, a value a frame, a pair of frames or a clip comes out.

Whatever several metrics of a frame need, such as the flow from the frame before it, is computed once and kept with it.
Networks and the estimator of flow are handed in, so that nothing here knows where weights are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

FlowFunction = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]  # models.optical_flow.estimator.FlowEstimator
Network = Callable[..., "torch.Tensor"]
Video = Literal["restored", "truth"]


@dataclass(frozen=True)
class Tools:
    """What metrics are handed.

    Args:
        flow: estimates optical flow between batches of frames; ``None``: no metric needs it.
        networks: what estimates quality or distance, by the names in :attr:`Metric.networks`.
    """

    flow: FlowFunction | None = None
    networks: Mapping[str, Network] = field(default_factory=dict)


class Moment:
    """One frame of a restored video beside the same of the ground truth.

    Args:
        restored: (3, H, W) float32 in [0, 1].
        truth: as ``restored``; ``None`` where there is none.
        previous: the moment before this one, of which only the frames are kept; ``None`` at the beginning.
        tools: what metrics are handed.
        total: frames of the clip, which those need that sample it; 0: not known.
    """

    def __init__(
        self,
        restored: "torch.Tensor",
        truth: "torch.Tensor | None",
        previous: "Moment | None",
        tools: Tools,
        total: int = 0,
    ) -> None:
        self.restored, self.truth, self.previous, self.tools, self.total = restored, truth, previous, tools, total
        self._known: dict[str, torch.Tensor] = {}
        if previous:
            previous.previous = None  # else every frame would stay in memory
            previous.forget()

    def forget(self) -> None:
        """Let go of what was computed once; the frames stay."""
        self._known.clear()

    def frame(self, video: Video) -> "torch.Tensor":
        """Return the frame of one of the two videos, (3, H, W)."""
        frame = self.restored if video == "restored" else self.truth
        assert frame is not None, "a metric that compares with the truth was opened without one"
        return frame

    def once(self, name: str, compute: "Callable[[], torch.Tensor]") -> "torch.Tensor":
        """Return what ``compute`` gives, which is called at the first request for ``name`` only."""
        if name not in self._known:
            self._known[name] = compute()
        return self._known[name]

    def flow(self, video: Video, direction: Literal["forward", "backward"]) -> "torch.Tensor":
        """Return the flow between the frame before this one and this one, of one of the two videos.

        Args:
            video: in which it is estimated.
            direction: ``forward``: where the pixels of the frame before are found in this one; ``backward``: where those of
                this one are found in the frame before.

        Returns:
            (1, 2, H, W) float32, x then y, in pixels, as :mod:`realis.ops.warp` takes it.
        """
        assert self.previous is not None and self.tools.flow is not None
        pair = self.previous.frame(video)[None], self.frame(video)[None]
        a, b = pair if direction == "forward" else pair[::-1]
        estimate = self.tools.flow
        return self.once(f"flow {video} {direction}", lambda: estimate(a, b))


class Meter(Protocol):
    """A metric at work on one clip."""

    def add(self, moment: Moment) -> None:
        """Measure the next frame."""
        ...

    def values(self) -> np.ndarray:
        """End the measurement, and return its values, (n,) float64: one a frame, a pair of frames, or a clip."""
        ...

    def close(self) -> None:
        """Release what the measurement holds, also of one that was broken off."""
        ...


def is_installed(package: str) -> bool:
    """Return whether a distribution is installed, without importing it."""
    try:
        return bool(distribution(package))
    except PackageNotFoundError:
        return False


@dataclass(frozen=True)
class Metric:
    """A metric, in one exact variant.

    Args:
        name: by which it is chosen; says the variant, such as ``ssim_y``.
        title: for the head of a column.
        better: which values are.
        source: the paper and equation, or the code, that define it.
        meter: ``module:name`` of what opens a measurement of a clip; it is imported when it is used.
        unit: what the values are in, such as ``dB`` or ``x1e-3``; empty: none.
        digits: after the decimal point.
        reference: whether it compares with the ground truth.
        flow: whether it needs optical flow.
        networks: names of the networks that it needs.
        packages: distributions that compute it, of the extra ``metrics``.
        least_side: pixels that both sides of a frame must have.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    source: str
    meter: str
    unit: str = ""
    digits: int = 4
    reference: bool = True
    flow: bool = False
    networks: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    least_side: int = 1

    def lacks(self) -> list[str]:
        """Return why it cannot be computed, with the command that helps; empty: it can."""
        missing = [name for name in self.packages if not is_installed(name)]
        return [f"{' and '.join(missing)} not installed; pip install 'realis[metrics]'"] if missing else []

    def open(self) -> Meter:
        """Start a measurement of a clip."""
        module, _, name = self.meter.partition(":")
        return getattr(import_module(module), name)()


class FunctionMeter:
    """Keeps what a function says of each frame.

    Args:
        measure: a moment -> a value; ``None``: it has none.
        skip: frames at the beginning that have none: 1 for a function of pairs of frames.
    """

    def __init__(self, measure: "Callable[[Moment], float | torch.Tensor | None]", skip: int = 0) -> None:
        self.measure, self.skip = measure, skip
        self._values: list[float] = []
        self._seen = 0

    def add(self, moment: Moment) -> None:
        if self._seen >= self.skip and (value := self.measure(moment)) is not None:
            self._values.append(float(value))
        self._seen += 1

    def values(self) -> np.ndarray:
        return np.array(self._values)

    def close(self) -> None: ...


def per_frame(measure: "Callable[[Moment], float | torch.Tensor | None]") -> Callable[[], Meter]:
    """Return what opens a metric that is a function of single frames."""
    return lambda: FunctionMeter(measure)


def per_pair(measure: "Callable[[Moment], float | torch.Tensor | None]") -> Callable[[], Meter]:
    """Return what opens a metric that is a function of a frame and the one before it (``moment.previous``)."""
    return lambda: FunctionMeter(measure, skip=1)


def measure_pairs(
    pairs: "Iterable[tuple[torch.Tensor, torch.Tensor | None]]",
    metrics: Sequence[Metric],
    tools: Tools,
    total: int = 0,
) -> dict[str, np.ndarray]:
    """Measure a clip by several metrics in one pass; of its frames, two pairs are held at a time.

    Args:
        pairs: the restored frame and that of the truth, (3, H, W) float32 in [0, 1] each; ``None``: there is no truth.
        metrics: that do without a truth, if there is none.
        tools: what these need.
        total: number of pairs, for metrics that sample a clip; 0: not known.

    Returns:
        The values of each metric by its name, (n,) float64.
    """
    with ExitStack() as stack:
        meters = {metric.name: metric.open() for metric in metrics}
        for meter in meters.values():
            stack.callback(meter.close)
        moment = None
        for restored, truth in pairs:
            moment = Moment(restored, truth, moment, tools, total)
            for meter in meters.values():
                meter.add(moment)
        return {name: meter.values() for name, meter in meters.items()}
