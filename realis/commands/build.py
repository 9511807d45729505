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
from realis.config import as_plain
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
from realis.dataset.publish import (
    SMALLER,
    PublishConfig,
    is_whole,
    lay_out,
    remove_outdated,
    set_name,
    shrink,
    write_checksums,
    write_tables,
)
from realis.dataset.quality import QualityConfig, quality
from realis.dataset.review import ReviewConfig, review, review_sentence
from realis.dataset.scenes import ScenesConfig, scenes
from realis.dataset.settings import CALIBRATED, Settings, check_folder, fixed
from realis.dataset.split import SplitConfig, split
from realis.dataset.stages import Stage, StageOnAll, Tally, check_known, here, in_workers, run_on_all, run_stage
from realis.errors import InputError, require
from realis.files import remove_folder, remove_leftovers
from realis.log import logger
from realis.workers import Workers

STAGES = ("probe", "scenes", "quality", "duplicates", "captions", "keywords", "review", "split", "publish")


@dataclass(frozen=True)
class BuildConfig:
    """Build RealisVideo-4K: clips with captions out of 4K footage, a test set with its LR, a dataset card."""

    source: tuple[str, ...] = ()  # folders, videos, patterns, or lists with file_name, licence, source, caption
    output: str = "out/realisvideo"  # folder of the build
    licence: str = ""  # of footage of which no list says another
    stages: tuple[str, ...] = STAGES  # which to run; what they need of others must be there
    workers: int = 0  # processes, each on one core; 0: one a core
    anew: bool = False  # with settings that a build was not begun with: do the stages that they concern once more
    executor: Literal["local", "ray"] = "local"  # whose: this machine's, or a Ray cluster's
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
    check_apart(folder, config.source, clips)
    check_folder(folder)
    on_ray = config.executor == "ray"
    executor = Cluster(config.ray, folder, config.workers) if on_ray else Workers(config.workers)
    with only_one(folder), executor:
        remove_leftovers(folder)
        settings = Settings(as_plain(config), STAGES, folder, config.anew)
        Build(config, folder, settings, executor).run(clips)


def check_apart(folder: Path, sources: tuple[str, ...], clips: list[Clip]) -> None:
    """What is built must not be taken for footage.

    Raises:
        InputError: it would be.
    """
    own = folder.resolve()
    around = [word for word in sources if Path(word).is_dir() and Path(word).resolve() in (own, *own.parents)]
    within = [clip.video for clip in clips if own in Path(clip.video).resolve().parents]
    require(not around, "--output", f"{folder}, which is in --source {' '.join(around)}", "a folder outside of it")
    require(not within, "--source", f"{' '.join(within[:1])}, which is in --output", "footage that was not built there")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other processes out of ``folder``.

    Raises:
        InputError: one is in it, or nothing can be written there.
    """
    try:
        (folder / "work").mkdir(parents=True, exist_ok=True)
        file = (folder / "work" / "lock").open("w")
    except OSError as error:
        raise InputError(f"--output {folder}: cannot be written ({error.strerror}); choose another folder") from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"--output {folder}: another process is building there; wait, or choose another folder"
            ) from error
        yield


class Build:
    """What each stage of a build is made of.

    Args:
        config: of the build.
        folder: where it is.
        settings: what it was begun with.
        executor: does the work.
    """

    def __init__(self, config: BuildConfig, folder: Path, settings: Settings, executor: Workers | Cluster) -> None:
        self.config, self.folder, self.settings = config, folder, settings
        self.share = executor.tasks
        self.captions = executor.captions if isinstance(executor, Cluster) else captions
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
            "publish": self.published,
        }
        for stage in STAGES[: max(map(STAGES.index, c.stages)) + 1]:
            self.wanted = stage in c.stages
            if self.wanted:
                self.settings.begin(stage)
            clips = of_stage[stage](clips)
            if not clips:
                raise InputError(f"--source: no clip is left after {self.tallies[-1]}; {self.folder}/work/"
                                 f"{self.tallies[-1].name}.jsonl has the details")  # fmt: skip
        what = f"; {self.folder / self.names[0]}/README.md describes them" if stage == "publish" else ""
        logger.info("%s: %d clips%s", self.folder, len(clips), what)

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

    def all_at_once(self, name: str, stage: StageOnAll, clips: list[Clip], beside: str = "") -> list[Clip]:
        """One that has to see all clips, and what is known ``beside`` them."""
        clips, tally = run_on_all(name, stage, clips, self.ledger(name), self.wanted, beside)
        self.tallies.append(tally)
        return clips

    def ledger(self, name: str) -> Ledger:
        """What the stage of this name has done."""
        return Ledger(self.folder, name)

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

    @property
    def names(self) -> tuple[str, str]:
        """Of the set and of the smaller test set."""
        title, lines = self.config.publish.title, self.config.probe.lines
        return set_name(title, lines), set_name(title, lines // SMALLER)

    def published(self, clips: list[Clip]) -> list[Clip]:
        """The sets as they are to be: laid out anew where a clip, or what the card says, has changed, or a file is gone."""
        large, small = self.names
        test = any(clip.split == "test" for clip in clips)
        sets = [large, small] if test else [large]
        every = [*sets, *(f"{name}-LR" for name in sets if test and self.config.publish.lr)]
        if not all(is_whole(self.folder / name) for name in every):
            self.ledger("publish").file.unlink(missing_ok=True)
        said = [*map(str, self.tallies), review_sentence(clips, self.folder)]
        return self.all_at_once("publish", self.publish, clips, "\n".join(said))

    def publish(self, clips: list[Clip]) -> Iterator[Outcome]:
        """The set itself, the smaller test set, and the LR of both."""
        large, small = self.names
        published = lay_out(clips, self.folder, large)
        self.describe(large, published, published)
        test = [clip for clip in published if clip.split == "test"]
        if test:
            remove_outdated(self.folder / large / "test", self.folder / small / "test")
            self.describe(small, self.each(small, shrink, small, test), test)
        for name in (large, small) if test and self.config.publish.lr else ():
            self.degrade(name)
        for name in () if test else (small, f"{large}-LR", f"{small}-LR"):
            remove_folder(self.folder / name)
        yield from published

    def degrade(self, name: str) -> None:
        """The LR of the test clips of a set."""
        source, lr = self.folder / name / "test", f"{name}-LR"
        remove_outdated(source, self.folder / lr)
        config = DegradeConfig(str(source), str(self.folder / lr), self.config.publish.lr, seed=self.config.split.seed)
        degrade(config, self.share)
        write_checksums(self.folder, lr)

    def describe(self, title: str, clips: list[Clip], reviewed: list[Clip]) -> None:
        """Tables, pictures, card and checksums of a set.

        Args:
            reviewed: its clips, as the reviewers saw them.
        """
        from realis.dataset.score_plots import plot_scores

        folder = self.folder / title
        write_tables(clips, self.folder, title, self.config.publish.metadata)
        write_contact_sheet(clips, self.folder, folder / "contact_sheet.png")
        scored = [one for many in self.ledger("quality").outcomes.values() for one in many]
        plot_scores(scored, folder / "scores.png", self.config.quality)
        lines = min(clips[0].height, clips[0].width)
        story = self.story(title, clips, lines, review_sentence(reviewed, self.folder))
        write_card(clips, story, ["contact_sheet.png", "scores.png"], folder / "README.md")
        write_checksums(self.folder, title)

    def story(self, title: str, clips: list[Clip], lines: int, review: str) -> Story:
        """How a set came about."""
        by = self.config.captions
        captioner = "given with the footage" if by.by == "given" else f"by {by.model}"
        recipe = yaml.safe_dump(fixed(as_plain(self.config)), sort_keys=False, allow_unicode=True)
        return Story(title, lines, self.tallies, keyword_counts(clips), captioner, review, recipe)
