"""Restore the clips of a test set by methods of the registry, as ``upscale`` does, into lossless files that are kept."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.core.system import peak_memory, reset_peak_memory
from realis.evaluation.footage import Footage, file_name
from realis.evaluation.test_sets import Clip
from realis.methods.flags import parse_upscale
from realis.methods.registry import METHODS, find_method
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.loading import Loader
from realis.upscaling.app.run import announced_plan, prepare_job, result_key, write_result
from realis.video.results import differences, parts_folder, read_result_key
from realis.video.source import open_source

OURS = ("input", "output", "target", "start", "duration", "preview", "dry_run", "compare", "codec", "crf", "depth", "prompt",
        "prompt_file", "deinterlace", "drop_alpha", "strict", "restart")  # fmt: skip


@dataclass(frozen=True)
class MethodRow:
    """A method with its flags, a row of the table.

    Args:
        name: of the row.
        flags: of ``upscale``, as given.
        config: what they parse to.
    """

    name: str
    flags: str
    config: UpscaleConfig


def method_rows(words: Sequence[str]) -> list[MethodRow]:
    """Parse what ``--method`` takes: names of methods, also several with commas, and ``NAME=FLAGS``, a row of that name by
    the flags of ``upscale``.

    Raises:
        InputError: an unknown method, a flag that is wrong or that evaluation sets itself, two rows of one name.
    """
    rows = []
    for word in words:
        names = word.split(",")
        if all(name in METHODS for name in names):
            rows += [MethodRow(name, f"--method {name}", parse_upscale(["--method", name])) for name in names]
            continue
        name, equals, flags = word.partition("=")
        if not (equals and name.strip()):
            wanted = f"names of methods ({', '.join(METHODS)}), or NAME=FLAGS of upscale"
            raise InputError(f"--method: got {word!r}, wanted {wanted}")
        rows.append(MethodRow(name.strip(), flags, _parse(name, flags)))
    return rows


def _parse(name: str, flags: str) -> UpscaleConfig:
    try:
        words = shlex.split(flags)
        require(not {"-h", "--help"} & {*words}, f"--method {name}", "--help", "flags; upscale.py --help explains them")
        config = parse_upscale(words)
    except ValueError as error:  # InputError among them
        raise InputError(f"--method {name}: {error}") from error
    plain = parse_upscale(["--method", config.method])
    given = {field.name for field in fields(config) if getattr(config, field.name) != getattr(plain, field.name)}
    strays = [f"--{field.replace('_', '-')}" for field in OURS if field in given]
    require(not strays, f"--method {name}", ", ".join(strays), "flags of the method; evaluation sets these itself")
    return config


@dataclass(frozen=True)
class Cost:
    """What restoring took.

    Args:
        seconds: of the whole clip.
        memory: at its peak, in GiB: of the GPU, or of this process if it computes on the CPU; ``None``: the system does not
            tell.
    """

    seconds: float
    memory: float | None


class Restorer:
    """A method at work on the clips of a test set; its weights are loaded when the first clip needs them.

    Args:
        row: the method.
        prompts: the captions of all clips.

    Raises:
        InputError: its files are missing or damaged.
    """

    def __init__(self, row: MethodRow, prompts: Sequence[str]) -> None:
        self.row = row
        method = find_method(row.config.method)
        self.takes_text = method.needs(row.config.options, prompted=False).text
        self.loader = Loader(method, row.config, [self.prompt(prompt) for prompt in prompts])
        if not self.takes_text and any(prompts):
            logger.info("%s: takes no text; captions are not used", row.name)

    def prompt(self, caption: str) -> str:
        """Return what the method is told of a clip: its caption, if it takes text."""
        return caption if self.takes_text else ""

    def _config(self, clip: Clip, lr: Footage, size: tuple[int, int], file: Path, restart: bool) -> UpscaleConfig:
        return replace(
            self.row.config, input=(str(lr.path),), output=str(file), target=f"{size[1]}x{size[0]}", codec="ffv1", depth=8,
            prompt=self.prompt(clip.prompt), restart=restart,
        )  # fmt: skip

    def check(self, clip: Clip, lr: Footage, size: tuple[int, int], folder: Path) -> None:
        """Make sure that no result from other settings or another input is in the place of this one.

        Raises:
            InputError: there is one.
        """
        file = folder / file_name(clip.name, ending=".mkv")
        before = read_result_key(file)
        if before is None:
            return
        config = self._config(clip, lr, size, file, restart=False)
        with open_source(lr.path) as source:
            plan = announced_plan(config, self.loader.needs(bool(config.prompt)), source, file)
        if what := differences(before, result_key(config, lr.path, plan)):
            if what.startswith("the input was"):  # of which only a digest is known
                what = "of another input (other frames, degradation or seed)"
            raise InputError(
                f"{file}: is there from an earlier run: {what}; --restart restores anew, or choose another --output"
            )

    def restore(
        self, clip: Clip, lr: Footage, size: tuple[int, int], folder: Path, restart: bool
    ) -> tuple[Footage, Cost | None]:
        """Restore a clip to ``size``, unless that was done before.

        Args:
            clip: its name and caption.
            lr: a whole file.
            size: height and width of the result.
            folder: where it is kept.
            restart: make it anew if it is there from other settings.

        Returns:
            the result, and what it took; ``None`` if it was there or a part of it was.

        Raises:
            InputError: the clip cannot be upscaled.
            RunError: the disk is full or memory is too small.
        """
        file = folder / file_name(clip.name, ending=".mkv")
        file.parent.mkdir(parents=True, exist_ok=True)
        config = self._config(clip, lr, size, file, restart)
        job = prepare_job(config, self.loader.needs(bool(config.prompt)), lr.path, file)
        if job.done:
            return Footage(file), None
        goes_on = parts_folder(file).is_dir()
        _ = self.loader.upscaler  # loading does not count
        began, peak = time.monotonic(), measure_peak(self.loader.device)
        write_result(job, self.loader)
        return Footage(file), None if goes_on else Cost(time.monotonic() - began, peak())


def measure_peak(device: str) -> Callable[[], float | None]:
    """Return a function that tells the peak of memory since now, in GiB; see :class:`Cost`."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return lambda: torch.cuda.max_memory_allocated(device) / 2**30
    return peak_memory if reset_peak_memory() else lambda: None
