"""Run the stages on a Ray cluster: tasks on its CPUs, captions by actors on its GPUs."""

import logging
import math
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TypeVar

from realis.builder.captioner import Captioner, CaptionsConfig
from realis.builder.captions import (
    add_answer,
    ask_all,
    caption_file,
    captions,
    hold_back_failures,
    open_captioner,
    read_caption,
)
from realis.builder.clip import Clip, Dropped, Outcome
from realis.core.config import RUN
from realis.core.errors import InputError, RunError, require
from realis.parallel.workers import use_one_core

Item = TypeVar("Item")
Result = TypeVar("Result")
RETRIES = 3  # of a task whose process was killed; errors of the work itself are not retried
BATCHES = 4  # given to an actor at a time, so that it can read the next one while the model is running
TIMEOUT = 10  # seconds for a cluster to answer
STORE = 2**27  # bytes of Ray's object store on this machine: small, as large data stays in files


@dataclass(frozen=True)
class RayConfig:
    """A Ray cluster. On all its machines realis must be installed, and the working directory, the folder of the build and
    the footage must be available under the same paths as here."""

    # auto or HOST:PORT: a cluster that runs; empty: one started on this machine for the build
    address: Annotated[str, RUN] = ""
    cpus: Annotated[float, RUN] = 1.0  # that a task takes: one clip in one stage
    captioners: Annotated[int, RUN] = 1  # processes that hold the captions' model
    gpus: Annotated[float, RUN] = 1.0  # that each of them takes; below 1 they share one; 0: they work on CPUs

    def __post_init__(self) -> None:
        fits = re.fullmatch(r"|auto|[^/\s]+:\d+", self.address)
        require(bool(fits), "--ray.address", self.address, "auto, HOST:PORT, or nothing")
        require(0 < self.cpus < math.inf, "--ray.cpus", self.cpus, "above 0")
        require(self.captioners >= 1, "--ray.captioners", self.captioners, "1 or more")
        whole = 0 <= self.gpus < math.inf and (self.gpus < 1 or self.gpus == int(self.gpus))
        require(whole, "--ray.gpus", self.gpus, "a share of one GPU, or a whole number of them")


class Cluster:
    """A Ray cluster: joined or started when it is first needed, left or stopped at the end of the context.

    Args:
        config: which cluster, and how it is used.
        build: folder of the build, which all its machines share.
        workers: number of clips in progress at a time; 0: twice as many as there are CPUs for.
    """

    def __init__(self, config: RayConfig, build: Path, workers: int) -> None:
        self.config, self.build, self.workers = config, build, workers
        self._terminated: Any = None

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._terminated is not None:
            self._ray().shutdown()
            signal.signal(signal.SIGTERM, self._terminated)

    def tasks(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | BaseException]]:
        """Yield each of ``items`` when it is done, with the result of ``work`` or the error that it ended with, as
        :meth:`realis.parallel.workers.Workers.tasks` does.

        Raises:
            InputError: there is no such cluster, or it has no machine for a task.
        """
        ray, cpus = self._ray(), self.config.cpus
        has = self._each_has("CPU")
        require(cpus <= max(has), "--ray.cpus", cpus, f"at most {max(has):g}, which the largest machine has")
        most = self.workers or 2 * int(sum(one // cpus for one in has))
        task = ray.remote(num_cpus=cpus, max_retries=RETRIES)(run_on_node)
        here = Path.cwd()
        return self._as_they_come(lambda item: task.remote(work, item, here, self.build), iter(items), most)

    def captions(self, clips: list[Clip], build: Path, config: CaptionsConfig) -> Iterator[tuple[Clip, list[Outcome]]]:
        """Caption ``clips`` as :func:`realis.builder.captions.captions` does, with the model in several processes; requests to
        an endpoint are sent from this machine.

        Raises:
            InputError: the model cannot be used, or the cluster has not the GPUs that are asked for.
        """
        if config.by != "qwen":
            yield from captions(clips, build, config)
            return
        asked: dict[Path, list[Clip]] = {}
        for clip in clips:
            asked.setdefault(caption_file(clip, build, config), []).append(clip)
        for file, answer in hold_back_failures(self._answers(asked, config)):
            for clip in asked[file]:
                yield clip, [add_answer(clip, answer)]

    def _answers(self, asked: dict[Path, list[Clip]], config: CaptionsConfig) -> Iterator[tuple[Path, str | Dropped]]:
        ray, count, gpus = self._ray(), self.config.captioners, self.config.gpus
        has = sum(self._each_has("GPU"))
        require(count * gpus <= has, "--ray.captioners", f"{count}, each with --ray.gpus {gpus:g}",
                f"no more GPUs than the cluster has, {has:g}, or --ray.gpus 0 for CPUs")  # fmt: skip
        actor = ray.remote(num_gpus=gpus, max_restarts=RETRIES, max_task_retries=RETRIES)(CaptionActor)
        idle = [actor.remote(config, Path.cwd(), self.build) for _ in range(count)]
        clips = ((file, of_file[0]) for file, of_file in asked.items())
        groups = iter(lambda: dict(islice(clips, BATCHES * config.batch)), {})
        todo = ((idle.pop(), group) for group in groups)  # one is taken only when an actor has become idle
        for (free, _), answers in self._as_they_come(lambda one: one[0].answers.remote(one[1]), todo, count):
            if isinstance(answers, BaseException):
                raise answers
            idle.append(free)
            yield from answers

    def _as_they_come(self, start: Callable[[Any], Any], todo: Iterator[Any], most: int) -> Iterator[tuple[Any, Any]]:
        """Start the items of ``todo``, at most ``most`` at a time; yield each when it is done, with its result or error."""
        under_way: dict[Any, Any] = {}
        while True:
            under_way |= {start(one): one for one in islice(todo, most - len(under_way))}
            if not under_way:
                return
            ((done,), _) = self._ray().wait(list(under_way))
            yield under_way.pop(done), self._result(done)

    def _result(self, reference: Any) -> Any:
        from ray.exceptions import RayError, RayTaskError

        try:
            return self._ray().get(reference)
        except RayTaskError as error:
            return error.cause
        except RayError as error:
            return RunError(f"--executor ray: {error}")

    def _each_has(self, kind: str) -> list[float]:
        """Return how many CPUs or GPUs each machine has."""
        return [node["Resources"].get(kind, 0.0) for node in self._ray().nodes() if node["Alive"]]

    def _ray(self) -> Any:
        """Return the module ``ray``, connected to the cluster.

        Raises:
            InputError: it is not installed, or there is no such cluster.
        """
        try:
            import ray
        except ImportError as error:
            raise InputError(
                f"--executor ray: {error}; install the extra: pip install -c constraints.txt -e '.[cluster]'"
            ) from error
        if self._terminated is None:
            self._terminated = signal.getsignal(signal.SIGTERM)
            connect(ray, self.config.address, self.workers)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
        return ray


def connect(ray: Any, address: str, workers: int) -> None:
    """Connect ``ray`` to the cluster at ``address``, or where that is empty start one with ``workers`` CPUs (0: all).

    Raises:
        InputError: there is no such cluster.
    """
    own = {"num_cpus": workers or None, "object_store_memory": STORE, "include_dashboard": False}
    try:
        if ":" in address:  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), TIMEOUT).close()
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own))
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"--ray.address: got {address or 'nothing'}: {error}; wanted a cluster that runs") from error


def run_on_node(work: Callable[[Item], Result], item: Item, folder: Path, build: Path) -> Result:
    """Do ``work`` on ``item`` on a machine of the cluster, in the working directory ``folder``."""
    use_one_core()
    enter_folder(folder, build)
    return work(item)


def enter_folder(folder: Path, build: Path) -> None:
    """Make ``folder`` the working directory.

    Raises:
        InputError: it or the folder of the build is missing on this machine.
    """
    try:
        os.chdir(folder)
        (build / "work").stat()
    except OSError as error:
        raise InputError(f"--executor ray: {error} on {socket.gethostname()}; all machines of the cluster must share "
                         "this folder") from error  # fmt: skip


class CaptionActor:
    """A Ray actor with the captioner, which is opened when the first clip needs it.

    Args:
        config: of the captions.
        folder: the working directory.
        build: folder of the build.
    """

    def __init__(self, config: CaptionsConfig, folder: Path, build: Path) -> None:
        self.config, self.folder, self.build = config, folder, build
        self.captioner: Captioner | None = None

    def answers(self, asked: dict[Path, Clip]) -> list[tuple[Path, str | Dropped]]:
        """Return the answer for each file. Files that are there are read: this actor may have written them before it was
        killed and restarted."""
        enter_folder(self.folder, self.build)
        known = {file: read_caption(file) for file in asked if file.is_file()}
        unknown = {file: [clip] for file, clip in asked.items() if file not in known}
        if unknown:
            self.captioner = self.captioner or open_captioner(self.config)
            return [*known.items(), *ask_all(self.captioner, unknown, self.build, self.config)]
        return [*known.items()]
