"""The commands as users start them, but forked from a process that has imported what they import: six seconds a start."""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.forkserver import ensure_running
from pathlib import Path

ROOT = Path(__file__).parents[1]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([
    "realis.training.loop", "realis.models.hub", "realis.upscaling.cpc", "realis.video.write", "realis.builder.pipeline",
    "realis.degradation.second_order", "scenedetect",
])  # fmt: skip


def start_server():
    """Start the process that all are forked from, before a test starts one that has imported less."""
    ensure_running()


class Command:
    """A script of this repository that runs in a process of its own; of ``subprocess.Popen``, what tests need.

    Args:
        script: relative to the repository.
        words: its arguments.
        cwd: where it runs.
        session: whether it leads a group of processes of its own.
        before: called in the process first; a function of a module.
    """

    def __init__(
        self,
        script: str,
        *words: object,
        cwd: Path = ROOT,
        session: bool = False,
        before: Callable[[], None] | None = None,
    ) -> None:
        self._stderr = tempfile.NamedTemporaryFile("r")  # noqa: SIM115 - open as long as the command is asked about
        arguments = (
            ROOT / script,
            [str(word) for word in words],
            cwd,
            session,
            before,
            self._stderr.name,
            dict(os.environ),
        )
        self._process = _context.Process(target=_run, args=arguments)
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def finish(self) -> tuple[int | None, str]:
        """Wait for the end; returns the exit code and what stands in stderr."""
        return self.wait(), self._stderr.read()


def _run(
    script: Path,
    words: list[str],
    cwd: Path,
    session: bool,
    before: Callable[[], None] | None,
    stderr: str,
    environment: dict[str, str],
) -> None:
    os.environ.clear()  # of the process that this one is forked from
    os.environ.update(environment)
    if session:
        os.setsid()
    with open(stderr, "w") as file:
        os.dup2(file.fileno(), 2)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(script), *words]
    sys.path.insert(0, str(script.parent))
    if before:
        before()
    runpy.run_path(str(script), run_name="__main__")
