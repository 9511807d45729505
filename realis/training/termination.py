"""SIGTERM, by which schedulers announce that a run is about to be ended."""

import signal

import torch
from accelerate import Accelerator


class Termination:
    """While it is entered, SIGTERM does not end this process, but is remembered."""

    def __init__(self) -> None:
        self._told = False

    def __enter__(self) -> "Termination":
        self._before = signal.signal(signal.SIGTERM, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _remember(self, *_: object) -> None:
        self._told = True

    def told_to_any(self, accelerator: Accelerator) -> bool:
        """Whether any process of the run got the signal. All have to ask, and all get the same answer."""
        told = torch.tensor(float(self._told), device=accelerator.device)
        return bool(accelerator.reduce(told, "sum"))
