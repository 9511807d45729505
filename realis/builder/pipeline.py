"""The pipeline of ``build``: which steps each stage consists of, and how the stages are run in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from realis.builder.captions import captions, check_captions
from realis.builder.card import CardFacts, write_card, write_contact_sheet
from realis.builder.clip import Clip, Outcome, digest_of
from realis.builder.config import STAGES, BuildConfig
from realis.builder.damage import DamagedError
from realis.builder.duplicates import duplicates, hashes
from realis.builder.keywords import keyword_counts, keywords
from realis.builder.ledger import Ledger
from realis.builder.on_ray import Cluster
from realis.builder.probe import add_list_columns, keep_licensed, probe
from realis.builder.publish import (
    SMALLER,
    check_smaller,
    is_intact,
    lay_out,
    remove_others,
    set_name,
    shrink,
    write_checksums,
    write_tables,
)
from realis.builder.quality import quality, scores
from realis.builder.review import review, review_sentence
from realis.builder.run_stage import (
    Stage,
    StageOnAll,
    Tally,
    check_known,
    finish_stage,
    in_this_process,
    in_workers,
    run_stage,
    run_stage_on_all,
)
from realis.builder.scenes import scenes
from realis.builder.settings import Settings, binding_settings
from realis.builder.split import split
from realis.core.config import as_plain
from realis.core.errors import InputError
from realis.core.files import remove_folder
from realis.core.log import logger
from realis.core.units import count
from realis.data.lr_sets.config import DegradeConfig
from realis.data.lr_sets.make import make_lr_set
from realis.data.lr_sets.notes import is_of_others
from realis.degradation.presets import load_degradation
from realis.parallel.workers import Workers

CONTACT_SHEET, SCORES = "contact_sheet.png", "scores.png"


class Pipeline:
    """Runs the stages of a build.

    A stage consists of one or more steps; each has its ledger, ``work/STEP.jsonl``.

    Args:
        config: of the build.
        folder: of the build.
        settings: the settings of the stages that have begun.
        executor: worker processes, here or on a cluster.
    """

    def __init__(self, config: BuildConfig, folder: Path, settings: Settings, executor: Workers | Cluster) -> None:
        self.config, self.folder, self.settings = config, folder, settings
        self.tasks = executor.tasks
        self.captions = executor.captions if isinstance(executor, Cluster) else captions
        self.tallies: list[Tally] = []
        self.footage: list[Clip] = []
        self.wanted = False

    def run(self, clips: list[Clip]) -> None:
        """Run the stages in order; when files turn out to be damaged, run them again to make these anew.

        Raises:
            InputError: a stage keeps no clip.
            DamagedError: a file was damaged again after it was made anew.
        """
        if "captions" in self.config.stages and not self.ledger("captions").file.exists():
            check_captions(clips, self.config.captions, elsewhere=self.config.executor == "ray")
        self.footage = clips
        damaged: set[str] = set()
        while True:
            try:
                return self.run_stages(clips)
            except DamagedError as error:
                if str(error) in damaged:  # for the second time: the disk cannot be trusted
                    raise
                damaged.add(str(error))
                logger.warning("%s", error)
                self.tallies.clear()

    def run_stages(self, clips: list[Clip]) -> None:
        """Run the stages once.

        Raises:
            InputError: a stage keeps no clip.
            DamagedError: files of the build are damaged; they were removed.
        """
        config = self.config
        run: dict[str, Callable[[list[Clip]], list[Clip]]] = {
            "probe": self.run_probe,
            "scenes": partial(self.run_in_workers, "scenes", scenes, config.scenes),
            "quality": self.run_quality,
            "duplicates": self.run_duplicates,
            "captions": self.run_captions,
            "keywords": partial(self.run_with_settings, "keywords", in_this_process(keywords), config.keywords),
            "review": self.run_review,
            "split": partial(self.run_on_all, "split", partial(split, config=config.split)),
            "publish": self.run_publish,
        }
        for stage in STAGES[: max(map(STAGES.index, config.stages)) + 1]:
            self.wanted = stage in config.stages
            if self.wanted:
                self.settings.begin(stage)
            clips = run[stage](clips)
        what = f"; {self.folder / self.set_names[0]}/README.md describes them" if stage == "publish" else ""
        logger.info("%s: %s%s", self.folder, count(len(clips), "clip"), what)

    # 1. The kinds of steps

    def run_in_workers(
        self, name: str, work: Callable[..., Iterable[Outcome]], settings: Any, clips: list[Clip]
    ) -> list[Clip]:
        """Run a step that looks at each clip by itself, in worker processes, here or on the cluster."""
        return self.run_on_each(name, partial(in_workers, work, self.folder, settings, self.tasks), clips)

    def run_on_content(
        self, name: str, work: Callable[..., Iterable[Outcome]], settings: Any, clips: list[Clip]
    ) -> list[Clip]:
        """Run a step in worker processes that depends on nothing but the content of a clip: it is not run again when other
        fields of the clip change."""
        bare = {clip.name: clip.content() for clip in clips}
        made = {clip.name: clip for clip in self.run_in_workers(name, work, settings, list(bare.values()))}
        return [clip.with_changes(bare[clip.name], made[clip.name]) for clip in clips if clip.name in made]

    def run_with_settings(self, name: str, work: Callable[..., Any], settings: Any, clips: list[Clip]) -> list[Clip]:
        """Run a step that does its own scheduling, with the settings of its stage."""
        return self.run_on_each(name, partial(work, build=self.folder, config=settings), clips)

    def run_on_each(self, name: str, stage: Stage, clips: list[Clip]) -> list[Clip]:
        """Run a step that looks at each clip by itself, on those that it has not done."""
        return self.add_tally(*run_stage(name, stage, clips, self.ledger(name), self.wanted))

    def run_on_all(self, name: str, stage: StageOnAll, clips: list[Clip], extra: str = "") -> list[Clip]:
        """Run a step that has to see all clips; it is run again when a clip or ``extra`` changes."""
        return self.add_tally(*run_stage_on_all(name, stage, clips, self.ledger(name), self.wanted, extra))

    def add_tally(self, clips: list[Clip], tally: Tally) -> list[Clip]:
        """Note the tally of a step for the card, and return the ``clips`` that it kept.

        Raises:
            InputError: there are none.
        """
        self.tallies.append(tally)
        if not clips:
            ledger = self.ledger(tally.name).file
            raise InputError(f"--source: no clip is left after {tally}; {ledger} has the details")
        return clips

    def ledger(self, name: str) -> Ledger:
        """Return the ledger of the step of this name."""
        return Ledger(self.folder, name)

    # 2. The stages that are more than one call

    def run_probe(self, footage: list[Clip]) -> list[Clip]:
        """Keep the videos that are licensed and of the format wanted. What their lists say of them is set aside until
        ``captions``, so that correcting a list does not repeat the stages before."""
        videos = self.run_with_settings("licences", in_this_process(keep_licensed), self.config.probe, footage)
        return self.run_in_workers("probe", probe, self.config.probe, videos)

    def run_quality(self, clips: list[Clip]) -> list[Clip]:
        """Measure the clips, and keep those whose scores are within the limits."""
        clips = self.run_in_workers("scores", scores, self.config.quality.samples, clips)
        return self.run_with_settings("quality", in_this_process(quality), self.config.quality, clips)

    def run_duplicates(self, clips: list[Clip]) -> list[Clip]:
        """Hash the clips, and keep one of those that show the same."""
        clips = self.run_on_content("hashes", hashes, self.config.duplicates.every, clips)
        return self.run_on_all("duplicates", partial(duplicates, config=self.config.duplicates), clips)

    def run_captions(self, clips: list[Clip]) -> list[Clip]:
        """Add captions, licence and origin."""
        return self.run_with_settings(
            "captions", self.captions, self.config.captions, add_list_columns(clips, self.footage)
        )

    def run_review(self, clips: list[Clip]) -> list[Clip]:
        """Keep the clips that people keep. Verdicts are read anew in every run, as reviewers may change them."""
        ledger, keys = self.ledger("review"), [digest_of([clip]) for clip in clips]
        known = dict(ledger.outcomes)
        if self.wanted:
            found = review(clips, self.folder, self.config.review)
            ledger.replace({digest_of([clip]): outcomes for clip, outcomes in found})
        check_known("review", [clip for clip, key in zip(clips, keys, strict=True) if key not in known], self.wanted)
        return self.add_tally(*finish_stage("review", len(clips), keys, ledger, news=ledger.outcomes != known))

    @property
    def set_names(self) -> tuple[str, str]:
        """The names of the set and of the smaller test set."""
        title, lines = self.config.publish.title, self.config.probe.lines
        return set_name(title, lines), set_name(title, lines // SMALLER)

    def wanted_sets(self, clips: list[Clip]) -> list[str]:
        """Return the names of the sets to publish, four at most; without test clips there is only one."""
        test, lr = any(clip.split == "test" for clip in clips), self.config.publish.lr
        sets = self.set_names if test else self.set_names[:1]
        return [*sets, *(f"{name}-LR" for name in sets if test and lr)]

    def run_publish(self, clips: list[Clip]) -> list[Clip]:
        """Publish the sets; anew where a clip or a fact on the card has changed, or a file is missing."""
        if not all(is_intact(self.folder / name) for name in self.wanted_sets(clips)):
            self.ledger("publish").file.unlink(missing_ok=True)
        lr = self.config.publish.lr
        ranges = str(as_plain(load_degradation(lr))) if lr else ""
        facts = [*map(str, self.tallies), review_sentence(clips, self.folder), self.recipe(), ranges]
        return self.run_on_all("publish", self.publish, clips, "\n".join(facts))

    def publish(self, clips: list[Clip]) -> Iterator[Outcome]:
        """Write the set itself, the smaller test set, and the LR of both; yield the clips with their new files."""
        (large, small), sets = self.set_names, self.wanted_sets(clips)
        for name in {large, small, f"{large}-LR", f"{small}-LR"} - set(sets):
            remove_folder(self.folder / name)
        published = lay_out(clips, self.folder, large)
        self.plot(self.folder / large / SCORES)
        self.describe(large, published, published, [CONTACT_SHEET, SCORES])
        if small in sets:
            test = [clip for clip in published if clip.split == "test"]
            remove_others(self.folder / large / "test", self.folder / small / "test")
            smaller = self.run_on_content(small, shrink, small, test)
            check_smaller(smaller, self.folder)
            self.describe(small, [replace(clip, scores={}) for clip in smaller], test, [CONTACT_SHEET])
        for name in (large, small):
            if f"{name}-LR" in sets:
                self.degrade(name)
        yield from published

    def degrade(self, name: str) -> None:
        """Make the LR of the test clips of a set."""
        source, lr = self.folder / name / "test", self.folder / f"{name}-LR"
        config = DegradeConfig(str(source), str(lr), self.config.publish.lr, seed=self.config.split.seed)
        if is_of_others(config):
            remove_folder(lr)
        remove_others(source, lr)
        make_lr_set(config, self.tasks)
        write_checksums(self.folder, lr.name)

    def describe(self, title: str, clips: list[Clip], reviewed: list[Clip], pictures: list[str]) -> None:
        """Write tables, contact sheet, card and checksums of a set.

        Args:
            title: name of the set.
            clips: its clips.
            reviewed: its clips, as the reviewers saw them.
            pictures: files beside the card that it shows.
        """
        folder = self.folder / title
        write_tables(clips, self.folder, title, self.config.publish.metadata)
        write_contact_sheet(clips, self.folder, folder / CONTACT_SHEET)
        lines = min(clips[0].height, clips[0].width)
        facts = self.card_facts(title, clips, lines, review_sentence(reviewed, self.folder))
        write_card(clips, facts, pictures, folder / "README.md")
        write_checksums(self.folder, title)

    def plot(self, file: Path) -> None:
        """Plot the scores of all clips that were measured."""
        from realis.builder.score_plots import plot_scores

        plot_scores(
            [one for many in self.ledger("quality").outcomes.values() for one in many], file, self.config.quality
        )

    def card_facts(self, title: str, clips: list[Clip], lines: int, review: str) -> CardFacts:
        """Collect the facts for the card of a set."""
        config = self.config.captions
        captioner = "given with the footage" if config.by == "given" else f"by {config.model}"
        return CardFacts(title, lines, self.tallies, keyword_counts(clips), captioner, review, self.recipe())

    def recipe(self) -> str:
        """Return the settings by which the set can be built again from the same footage, as YAML."""
        settings = {name: value for name, value in binding_settings(as_plain(self.config)).items() if name != "source"}
        return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
