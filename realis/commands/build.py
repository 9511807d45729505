"""``build``: RealisVideo-4K out of footage, stage by stage (paper: "RealisVideo-4K")."""

import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from realis.commands.degrade import DegradeConfig, degrade
from realis.config import as_plain, dump
from realis.dataset.calibrate import calibrate
from realis.dataset.captions import CaptionsConfig, captions
from realis.dataset.card import Story, write_card, write_contact_sheet
from realis.dataset.clip import Clip, Outcome, digest_of
from realis.dataset.duplicates import DuplicatesConfig, duplicates, hashes
from realis.dataset.footage import find_footage
from realis.dataset.keywords import KeywordsConfig, keyword_counts, keywords
from realis.dataset.ledger import Ledger
from realis.dataset.on_ray import Cluster, RayConfig
from realis.dataset.probe import ProbeConfig, probe
from realis.dataset.publish import SMALLER, PublishConfig, lay_out, set_name, shrink, write_checksums, write_tables
from realis.dataset.quality import QualityConfig, quality
from realis.dataset.review import ReviewConfig, review, review_sentence
from realis.dataset.scenes import ScenesConfig, scenes
from realis.dataset.split import SplitConfig, split
from realis.dataset.stages import Stage, StageOnAll, Tally, check_known, here, in_workers, run_on_all, run_stage
from realis.errors import InputError, require
from realis.files import remove_leftovers
from realis.log import logger
from realis.workers import in_processes

STAGES = ("probe", "scenes", "quality", "duplicates", "captions", "keywords", "review", "split", "publish")
SETTINGS, CALIBRATED = "build.yaml", "quality.yaml"  # in the folder of the build
# What may be another when a build goes on: it does not change what is built.
FREE = {
    "": ("output", "stages", "workers", "executor", "calibrate"),
    "captions": ("batch", "device", "url", "api_key_file", "requests", "timeout", "retries", "retry_wait",
                 "budget_requests", "budget_tokens"),
    "review": ("auto_accept", "host", "port", "preview", "crop", "linger"),
    "ray": ("address", "cpus", "captioners", "gpus"),
}  # fmt: skip


@dataclass(frozen=True)
class BuildConfig:
    """Build RealisVideo-4K: clips with captions out of 4K footage, a test set with its LR, a dataset card."""

    source: tuple[str, ...] = ()  # folders, videos, patterns, or lists with file_name, licence, source, caption
    output: str = "out/realisvideo"  # folder of the build
    licence: str = ""  # of footage of which no list says another
    stages: tuple[str, ...] = STAGES  # which to run; what they need of others must be there
    workers: int = 0  # processes; 0: one a core
    executor: Literal["local", "ray"] = "local"  # whose: this machine's, or a Ray cluster's (the LR are made here)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    captions: CaptionsConfig = field(default_factory=CaptionsConfig)
    keywords: KeywordsConfig = field(default_factory=KeywordsConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    calibrate: str = (
        ""  # folder of footage known to be good: only write OUTPUT/quality.yaml, a recipe of limits from it
    )

    def __post_init__(self) -> None:
        for stage in self.stages or ("none",):
            require(stage in STAGES, "--stages", stage, f"some of {', '.join(STAGES)}")
        require(self.workers >= 0, "--workers", self.workers, "0 or more")


def build(config: BuildConfig) -> None:
    """Run the stages. A build that was stopped goes on where it was; of a finished one nothing is done again.

    Raises:
        InputError: something given cannot be used, or no clip is left after a stage.
    """
    folder = Path(config.output)
    if config.calibrate:
        calibrate(Path(config.calibrate), folder / CALIBRATED, config.quality)
        logger.info("wrote %s: put it before the flags of a build", folder / CALIBRATED)
        return
    clips = find_footage(config.source, config.licence)
    settle_settings(config, folder)
    with only_one(folder), Cluster(config.ray, folder, config.workers) as cluster:
        remove_leftovers(folder)
        Build(config, folder, cluster).run(clips)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other processes out of ``folder``.

    Raises:
        InputError: one is in it.
    """
    (folder / "work").mkdir(parents=True, exist_ok=True)
    with (folder / "work" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"--output {folder}: another process is building there; wait, or choose another folder"
            ) from error
        yield


def settle_settings(config: BuildConfig, folder: Path) -> None:
    """Note what the build is made with, or check that it is what it was begun with.

    Raises:
        InputError: other settings, or a folder that holds something else.
    """
    file = folder / SETTINGS
    if not file.exists():
        require(not folder.is_file(), "--output", f"{folder}, a file", "a folder")
        folder.mkdir(parents=True, exist_ok=True)
        ours = ("work", CALIBRATED, f".{SETTINGS}.*.tmp")  # the latter of a run that was killed
        strangers = sorted(one.name for one in folder.iterdir() if not any(map(one.match, ours)))
        require(not strangers, "--output", f"{folder} with {', '.join(strangers[:3])} in it", "an empty or new folder")
        return dump(config, file)
    try:
        begun = fixed(yaml.safe_load(file.read_text()))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read ({error}); choose a new --output") from error
    now = fixed(as_plain(config))
    changed = [f"--{name} was {begun.get(name)!r}, is {now.get(name)!r}"
               for name in sorted(begun.keys() | now.keys()) if begun.get(name) != now.get(name)]  # fmt: skip
    if changed:
        raise InputError(f"--output {folder} was begun with other settings: {'; '.join(changed)}; give those again, or "
                         "choose a new folder")  # fmt: skip
    return None


def fixed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a build stands on, flat, by the names of their flags."""
    flat = {}
    for name, value in settings.items():
        own = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        flat |= {
            key: one for key, one in own.items() if key.split(".")[-1] not in FREE.get(name if "." in key else "", ())
        }
    return {key.replace("_", "-"): value for key, value in flat.items()}


class Build:
    """What each stage of a build is made of.

    Args:
        config: of the build.
        folder: where it is.
        cluster: for the executor ``ray``.
    """

    def __init__(self, config: BuildConfig, folder: Path, cluster: Cluster) -> None:
        self.config, self.folder = config, folder
        on_ray = config.executor == "ray"
        self.share = cluster.tasks if on_ray else partial(in_processes, workers=config.workers)
        self.captions = cluster.captions if on_ray else captions
        self.tallies: list[Tally] = []
        self.wanted = False

    def run(self, clips: list[Clip]) -> None:
        """The stages that are wanted, in order.

        Raises:
            InputError: one keeps nothing.
        """
        c = self.config
        of_stage: dict[str, Callable[[list[Clip]], list[Clip]]] = {
            "probe": partial(self.each, "probe", probe, c.probe),
            "scenes": partial(self.each, "scenes", scenes, c.scenes),
            "quality": partial(self.each, "quality", quality, c.quality),
            "duplicates": self.without_duplicates,
            "captions": partial(self.one_by_one, "captions", self.captions, c.captions),
            "keywords": partial(self.one_by_one, "keywords", here(keywords), c.keywords),
            "review": self.reviewed,
            "split": partial(self.all_at_once, "split", partial(split, config=c.split)),
            "publish": partial(self.all_at_once, "publish", self.publish),
        }
        for stage in STAGES[: max(map(STAGES.index, c.stages)) + 1]:
            self.wanted = stage in c.stages
            clips = of_stage[stage](clips)
            if not clips:
                raise InputError(f"--source: no clip is left after {self.tallies[-1]}; {self.folder}/work/"
                                 f"{self.tallies[-1].name}.jsonl has the details")  # fmt: skip
        logger.info("%s: %d clips", self.folder, len(clips))

    # 1. The three forms of a stage

    def each(self, name: str, work: Callable[..., Iterable[Outcome]], settings: Any, clips: list[Clip]) -> list[Clip]:
        """One that looks at a clip by itself, in worker processes, here or on the cluster."""
        bound = partial(work, build=self.folder, config=settings)
        return self.noted(name, partial(in_workers, bound, self.share), clips)

    def one_by_one(self, name: str, work: Callable[..., Any], settings: Any, clips: list[Clip]) -> list[Clip]:
        """One that shares its work out by itself."""
        return self.noted(name, partial(work, build=self.folder, config=settings), clips)

    def noted(self, name: str, stage: Stage, clips: list[Clip]) -> list[Clip]:
        clips, tally = run_stage(name, stage, clips, self.ledger(name), self.wanted)
        self.tallies.append(tally)
        return clips

    def all_at_once(self, name: str, stage: StageOnAll, clips: list[Clip]) -> list[Clip]:
        """One that has to see all clips."""
        clips, tally = run_on_all(name, stage, clips, self.ledger(name), self.wanted)
        self.tallies.append(tally)
        return clips

    def ledger(self, name: str) -> Ledger:
        """What the stage of this name has done."""
        return Ledger(self.folder / "work" / f"{name}.jsonl")

    # 2. Those that are more than one call

    def without_duplicates(self, clips: list[Clip]) -> list[Clip]:
        """One clip of those that show the same."""
        clips = self.each("hashes", hashes, self.config.duplicates, clips)
        return self.all_at_once("duplicates", partial(duplicates, config=self.config.duplicates), clips)

    def reviewed(self, clips: list[Clip]) -> list[Clip]:
        """What people keep: asked anew every time, for they may think better of it.

        Raises:
            InputError: review is not wanted now, and some clips have not been decided.
        """
        ledger = self.ledger("review")
        if not self.wanted:
            check_known("review", [clip for clip in clips if digest_of([clip]) not in ledger.outcomes], wanted=False)
        ledger.forget()
        clips, tally = run_stage("review", partial(review, build=self.folder, config=self.config.review), clips, ledger,
                                 wanted=True)  # fmt: skip
        self.tallies.append(tally)
        return clips

    def publish(self, clips: list[Clip]) -> Iterator[Outcome]:
        """The set itself, the smaller test set, and the LR of both."""
        config, lines = self.config.publish, self.config.probe.lines
        title, small_title = set_name(config.title, lines), set_name(config.title, lines // SMALLER)
        published = lay_out(clips, self.folder, title)
        test = [clip for clip in published if clip.split == "test"]
        for place in (f"{small_title}/test", f"{title}-LR", f"{small_title}-LR"):
            keep_only({clip.name for clip in test}, self.folder / place)
        small = self.each(small_title, shrink, small_title, test) if test else []
        for name, of_set in ((title, published), (small_title, small)):
            if of_set:
                self.describe(name, of_set)
        for name in (title, small_title):
            if test and config.lr:
                folder = self.folder / name
                degrade(DegradeConfig(str(folder / "test"), f"{folder}-LR", config.lr, seed=self.config.split.seed,
                                      workers=self.config.workers))  # fmt: skip
        yield from published

    def describe(self, title: str, clips: list[Clip]) -> None:
        """Tables, pictures, card and checksums of a set."""
        from realis.dataset.score_plots import plot_scores

        folder = self.folder / title
        write_tables(clips, self.folder, title, self.config.publish.metadata)
        write_contact_sheet(clips, self.folder, folder / "contact_sheet.png")
        scored = [one for many in self.ledger("quality").outcomes.values() for one in many]
        plot_scores(scored, folder / "scores.png", self.config.quality)
        lines = min(clips[0].height, clips[0].width)
        write_card(clips, self.story(title, clips, lines), ["contact_sheet.png", "scores.png"], folder / "README.md")
        write_checksums(self.folder, title)

    def story(self, title: str, clips: list[Clip], lines: int) -> Story:
        """How a set came about."""
        by = self.config.captions
        captioner = "given with the footage" if by.by == "given" else f"by {by.model}"
        recipe = yaml.safe_dump(fixed(as_plain(self.config)), sort_keys=False, allow_unicode=True)
        return Story(
            title, lines, self.tallies, keyword_counts(clips), captioner, review_sentence(clips, self.folder), recipe
        )


def keep_only(names: set[str], place: Path) -> None:
    """Remove clips from a folder that came there before people thought better of them, or before there were others."""
    for file in [*place.glob("*.mkv"), *place.glob("*.json")]:
        if file.stem not in names:
            file.unlink()
