"""``evaluate``: measure restored videos as papers do; composes test set, methods, protocol, measurement and table."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Literal

from realis.core.errors import InputError, RunError, require
from realis.core.files import fitting_name
from realis.core.log import logger, progress
from realis.core.records import digest
from realis.core.units import count
from realis.evaluation.degraded import check_degradation, make_lr
from realis.evaluation.footage import Footage
from realis.evaluation.ledger import Ledger, open_ledger
from realis.evaluation.measure import Instruments, Measured, Task, measure_all
from realis.evaluation.networks import Weights
from realis.evaluation.pictures import save_clip_sheet
from realis.evaluation.protocols import PROTOCOLS, Protocol
from realis.evaluation.published import DATA_SETS
from realis.evaluation.report import head, means_of, write_table
from realis.evaluation.restore import OURS, MethodRow, Restorer, method_rows
from realis.evaluation.table import Result, Table
from realis.evaluation.test_sets import (
    Clip,
    clips_of_folder,
    clips_of_footage,
    clips_of_lr,
    clips_of_manifest,
    match,
    rendered_clips,
    whole_file_of,
    with_lr,
)
from realis.metrics.registry import METRICS
from realis.upscaling.app.loading import usable_device
from realis.video.fingerprint import fingerprint

BARE_METHODS, BARE_FRAMES = ("bicubic", "lanczos", "cpc"), 9
SHEETS = 12  # clips of a case of which pictures are made
CLIP_ERRORS = (InputError, RunError, OSError, MemoryError, FloatingPointError)  # of one clip, which stop no other
PACKAGES = (
    "realis",
    "torch",
    "torchvision",
    "torchmetrics",
    "piq",
    "pyiqa",
    "opencv-python-headless",
    "imageio-ffmpeg",
)


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure restored videos against the ground truth, as the tables of papers do.

    Results that are there, made by anyone:
      evaluate.py --outputs results --ground-truth truth
      evaluate.py --outputs ours=results theirs=other/results --ground-truth truth --protocol stablevsr

    Methods that are run first:
      evaluate.py --method bicubic,cpc --clips footage --degradation clean mid
      evaluate.py --method bicubic "large=--model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --cpc out/cpc" --data test.jsonl

    Without arguments, bicubic, Lanczos and realis-tiny on two photographs filmed by a moving camera.
    """

    POSITIONAL: ClassVar = ""

    outputs: tuple[str, ...] = ()  # folders of restored clips, NAME=FOLDER or FOLDER: a row of the table each
    method: tuple[str, ...] = ()  # methods to run: names, or NAME=FLAGS of upscale; gains are over the first
    ground_truth: str = ""  # folder of clips: videos, folders of frames
    data: str = ""  # manifest of ground truth, with captions, which are the prompts
    clips: str = ""  # folder of footage, which is shrunk to fit 1280x720 and taken as ground truth
    lr: str = ""  # folder of low-resolution clips of the same names; without a ground truth, a set that has none
    # for --method without --lr: clean, mild, mid, strong, a preset of make_lr, or a YAML file of ranges; a table each
    degradation: tuple[str, ...] = ("clean", "mid")
    scale: int = 4  # how much smaller degraded clips are
    seed: int = 0  # of drawn degradations
    frames: int = 0  # of each clip at most; 0: all
    protocol: str = "realis"  # realis, realisvsr, realbasicvsr, stablevsr, dgaf_vsr, videogigagan, tecogan
    metrics: tuple[str, ...] = ()  # in place of those of the protocol; docs/evaluation.md lists them
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
        elif self.method:
            require(
                bool(truths or self.lr), "--method", "nothing to restore", "--ground-truth, --data, --clips or --lr"
            )
        else:
            given = [*truths, *(["--lr"] if self.lr else [])]
            require(not given, ", ".join(given), "nothing to measure", "--outputs or --method beside it")
        require(self.protocol in PROTOCOLS, "--protocol", self.protocol, f"one of {', '.join(PROTOCOLS)}")
        require(
            not self.data_set or self.data_set in DATA_SETS,
            "--data-set",
            self.data_set,
            f"one of {', '.join(DATA_SETS)}",
        )
        for name in self.metrics:
            require(name in METRICS, "--metrics", name, f"some of {', '.join(METRICS)}")
        for name in self.degradation:
            check_degradation(name)
        require(bool(self.degradation), "--degradation", "none", "one or more")
        for name, least in (("scale", 1), ("seed", 0), ("frames", 0), ("workers", 0)):
            require(getattr(self, name) >= least, f"--{name}", getattr(self, name), f"{least} or more")
        known = re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device)
        require(bool(known), "--device", self.device, "auto, cpu, cuda, cuda:N or mps")
        for flag in ("ground_truth", "clips", "lr", "weights"):
            folder = getattr(self, flag)
            require(not folder or Path(folder).is_dir(), f"--{flag.replace('_', '-')} {folder}", "no folder", "one")


@dataclass(frozen=True)
class Restored:
    """A restored clip.

    Args:
        case: how its input was degraded; empty: as it was given.
        row: of the table.
        clip: of the test set.
        footage: its frames; ``None``: it could not be restored.
        seconds: a frame, that it took; ``None``: not measured.
        fault: why it could not be restored.
    """

    case: str
    row: str
    clip: Clip
    footage: Footage | None
    seconds: float | None = None
    fault: str = ""


def evaluate(config: EvaluateConfig) -> Path:
    """Make the table, and return it as Markdown.

    Raises:
        InputError: something given cannot be used; or, after the table is written, a clip does not lie on the truth.
        RunError: the disk is full, memory is too small, a process was killed.
    """
    is_bare = not (config.outputs or config.method)
    if is_bare:
        logger.info("no videos given: %s on photographs that scikit-image carries, filmed", ", ".join(BARE_METHODS))
    folders, methods = folder_rows(config.outputs), method_rows(BARE_METHODS if is_bare else config.method)
    check_names([*folders, *(row.name for row in methods)])
    has_truth = bool(config.ground_truth or config.data or config.clips or (not config.outputs and not config.lr))
    instruments, missing = find_instruments(config, has_truth)
    output = Path(config.output)
    with open_ledger(output) as ledger:
        clips = find_clips(config, output)
        found = list(given_results(folders, clips) if folders else make_results(config, methods, clips, output, ledger))
        results = measure_results(config, instruments, found, ledger)
        facts = facts_of(config, instruments, methods, clips)
        table = Table(
            instruments.protocol, instruments.metrics, missing, instruments.flow, results, config.allow_misaligned,
            config.data_set, facts,
        )  # fmt: skip
        files = write_table(table, output)
        save_sheets(found, results, output)
    print("\n".join(head(table)))
    for case in table.cases:
        print("\n".join(["", *([f"{case}:"] if case else []), *means_of(table, case)]))
    logger.info("wrote %s", ", ".join(map(str, files)))
    bad = [one for one in table.faulty() if one.measured.values is None or not config.allow_misaligned]
    if bad:
        first = ", ".join(name for name in (bad[0].case, bad[0].row, bad[0].clip) if name)
        raise InputError(f"{len(bad)} of {count(len(results), 'result')} cannot be compared with the truth, such as {first}: "
                         f"{'; '.join(bad[0].measured.faults)}; {files[0]} has all")  # fmt: skip
    return files[0]


# 1. What to measure, and by what


def folder_rows(words: Sequence[str]) -> dict[str, Path]:
    """Parse what ``--outputs`` takes, ``NAME=FOLDER`` or ``FOLDER``, into the folder of each row.

    Raises:
        InputError: no such folder.
    """
    rows: dict[str, Path] = {}
    for word in words:
        name, _, folder = word.partition("=") if "=" in word and not Path(word).is_dir() else ("", "", word)
        path = Path(folder)
        require(path.is_dir(), f"--outputs {word}", "no folder there", "a folder of restored clips, or NAME=FOLDER")
        name = name or path.resolve().name
        require(name not in rows, "--outputs", f"{name} twice", "NAME=FOLDER, with another name for each")
        rows[name] = path
    return rows


def check_names(rows: Sequence[str]) -> None:
    """Make sure that rows can be told apart, also as folders.

    Raises:
        InputError: two cannot.
    """
    names = [folder_name(row) for row in rows]
    twice = next((row for row, name in zip(rows, names, strict=True) if names.count(name) > 1), None)
    require(twice is None, "rows", f"{twice} twice", "another name for each: NAME=...")


def folder_name(name: str) -> str:
    """Return the name of the folder of a row or a case: with no characters that some file systems refuse."""
    return fitting_name(re.sub(r"[^\w.+-]+", "_", name).strip(".") or "_", "")


def find_instruments(config: EvaluateConfig, has_truth: bool) -> tuple[Instruments, dict[str, str]]:
    """Find the metrics that can be measured; return also those that cannot, with the reason.

    Raises:
        InputError: one that was asked for by name cannot be measured, or nothing can.
    """
    protocol: Protocol = PROTOCOLS[config.protocol]
    names = config.metrics or protocol.metrics
    flow = (config.flow or protocol.flow or "farneback") if any(METRICS[name].flow for name in names) else ""
    files = {flow: Path(config.flow_weights)} if config.flow_weights else {}
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
    require(
        bool(left),
        f"--protocol {protocol.name}",
        "no metric that can be measured",
        "what is missing, or other --metrics",
    )
    return replace(instruments, metrics=left, device=usable_device(config.device)), missing


def find_clips(config: EvaluateConfig, output: Path) -> list[Clip]:
    """Find or make the clips of the test set.

    Raises:
        InputError: there are none, or a low-resolution clip is missing.
    """
    frames, multiple = config.frames or None, 1 if config.outputs or config.lr else config.scale
    if config.ground_truth:
        clips = clips_of_folder(config.ground_truth, frames, multiple)
    elif config.data:
        clips = clips_of_manifest(config.data, frames, multiple)
    elif config.clips:
        clips = clips_of_footage(config.clips, output / "truth", frames, multiple)
    elif config.lr:
        return clips_of_lr(config.lr, frames)
    elif config.outputs:
        first = next(iter(folder_rows(config.outputs).values()))
        return [replace(clip, truth=None) for clip in clips_of_folder(str(first), frames, 1)]
    else:
        clips = rendered_clips(output / "truth", frames or BARE_FRAMES)
    return with_lr(clips, config.lr) if config.lr else clips


# 2. Results


def given_results(folders: dict[str, Path], clips: Sequence[Clip]) -> Iterator[Restored]:
    """Yield the results in the folders of ``--outputs``.

    Raises:
        InputError: a clip has none.
    """
    for row, folder in folders.items():
        for clip, footage in zip(clips, match(clips, folder, "--outputs"), strict=True):
            yield Restored("", row, clip, footage)


def make_results(
    config: EvaluateConfig, methods: Sequence[MethodRow], clips: Sequence[Clip], output: Path, ledger: Ledger
) -> Iterator[Restored]:
    """Degrade the clips where they have no low resolution, and restore them by every method; yield the results.

    A clip that a method cannot restore does not stop the others.

    Raises:
        InputError: a clip cannot be degraded; the files of a method are missing.
    """
    inputs = []
    for case in [""] if config.lr else config.degradation:
        for clip in clips:
            folder = output / "lr" / folder_name(Path(case).stem or "given")
            lr = (
                whole_file_of(clip.lr, folder, clip.name)
                if clip.lr
                else make_lr(clip, case, config.scale, config.seed, folder)
            )
            inputs.append((case, clip, lr))
    restorers = [Restorer(row, [clip.prompt for clip in clips]) for row in methods]
    for number, restorer in enumerate(restorers, 1):
        row = restorer.row.name
        for done, (case, clip, lr) in enumerate(inputs):
            logger.info(
                "%s (%d of %d), clip %d of %d: %s", row, number, len(restorers), done + 1, len(inputs), clip.name
            )
            folder = output / "restored" / folder_name(Path(case).stem or "given") / folder_name(row)
            height, width = clip.truth.size() if clip.truth else (side * config.scale for side in lr.size())
            try:
                footage, seconds = restorer.restore(clip, lr, (height, width), folder, config.restart)
            except CLIP_ERRORS as error:
                logger.warning("%s, %s: could not be restored: %s", row, clip.name, error)
                yield Restored(case, row, clip, None, fault=f"could not be restored: {error}")
                continue
            key = digest(["seconds", case, row, clip.name, footage.facts()])
            if seconds is not None:
                ledger.add(key, {"seconds": seconds / max(footage.announced_frames(), 1)})
            yield Restored(case, row, clip, footage, ledger.facts(key).get("seconds"))


# 3. Measurements


def measure_results(
    config: EvaluateConfig, instruments: Instruments, found: Sequence[Restored], ledger: Ledger
) -> list[Result]:
    """Measure the results, several at a time."""
    tasks = [Task(number, one.footage, one.clip.truth) for number, one in enumerate(found) if one.footage]
    workers = config.workers or (0 if instruments.device == "cpu" else 1)
    measured = {n: Measured(0, (0, 0), None, faults=(one.fault,)) for n, one in enumerate(found) if not one.footage}
    frames = 0
    for task in tasks:
        with suppress(InputError):  # whoever measures it says so
            frames += task.restored.announced_frames()
    with progress(total=frames, unit="frame") as bar:
        for task, what in measure_all(instruments, tasks, ledger, versions(), workers, bar.update):
            if isinstance(what, BaseException):
                if not isinstance(what, CLIP_ERRORS):
                    raise what
                logger.warning("%s: could not be measured: %s", task.restored.path, what)
                what = Measured(0, (0, 0), None, faults=(f"could not be measured: {what}",))
            measured[task.number] = what
    return [Result(one.case, one.row, one.clip.name, measured[n], one.seconds) for n, one in enumerate(found)]


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def facts_of(
    config: EvaluateConfig, instruments: Instruments, methods: Sequence[MethodRow], clips: Sequence[Clip]
) -> dict[str, Any]:
    """Return what the table was made with, by which it can be made again."""
    return {
        "versions": versions(),
        "networks": {name: {"sha256": digest} for name, digest in instruments.digests().items()},
        "device": instruments.device,
        "degradations": {}
        if config.lr or config.outputs
        else {name: {"seed": config.seed} for name in config.degradation},
        "scale": config.scale,
        "data set": config.data_set,
        "methods": {row.name: method_facts(row) for row in methods},
        "test set": [
            {"clip": clip.name, "caption": clip.prompt, **(clip.truth or clip.lr or Footage(Path())).facts()}
            for clip in clips
        ],
    }


def method_facts(row: MethodRow) -> dict[str, Any]:
    """Return the flags of a method, the settings that they stand for, and what its weights are."""
    needs = Restorer(row, []).loader.needs(prompted=False)
    weights = {name: fingerprint(file) for name, file in needs.weights.items()}
    settings = {name: value for name, value in row.config.settings(needs).items() if name not in OURS}
    return {"flags": row.flags, "settings": settings, "content of weights": weights}


def save_sheets(found: Sequence[Restored], results: Sequence[Result], output: Path) -> None:
    """Save pictures of the first clips of every case, of what could be measured of each."""
    cases: dict[tuple[str, str], dict[str, Footage]] = {}
    clips = {one.clip.name: one.clip for one in found}
    for one, result in zip(found, results, strict=True):
        if one.footage and one.clip.truth and result.measured.values is not None:
            cases.setdefault((one.case, one.clip.name), {})[one.row] = one.footage
    first = {name for name, _ in zip(clips, range(SHEETS), strict=False)}
    for (case, name), rows in cases.items():
        truth = clips[name].truth
        if name in first and truth:
            file = fitting_name(folder_name(f"{Path(case).stem}_{name}" if case else name), ".png")
            save_clip_sheet(truth, rows, output / "sheets" / file)
