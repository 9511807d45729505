"""``build``: RealisVideo-4K out of footage, stage by stage (paper: "RealisVideo-4K")."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from realis.commands.build_stages import STAGES, Build
from realis.config import as_plain
from realis.dataset.calibrate import calibrate
from realis.dataset.captions import CaptionsConfig
from realis.dataset.clip import Clip
from realis.dataset.duplicates import DuplicatesConfig
from realis.dataset.footage import find_footage
from realis.dataset.keywords import KeywordsConfig
from realis.dataset.on_ray import Cluster, RayConfig
from realis.dataset.probe import ProbeConfig
from realis.dataset.publish import PublishConfig
from realis.dataset.quality import QualityConfig
from realis.dataset.review import ReviewConfig
from realis.dataset.scenes import ScenesConfig
from realis.dataset.settings import CALIBRATED, Settings, check_folder
from realis.dataset.split import SplitConfig
from realis.errors import InputError, require
from realis.files import remove_leftovers
from realis.log import logger
from realis.system import lock
from realis.units import count
from realis.workers import Workers


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
    calibrate: str = ""  # folder of footage known to be good: only write OUTPUT/quality.yaml, limits from it

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
    require(config.probe.unlicensed or any(clip.licence for clip in clips), "--licence",
            f"none, and none in a list, for any of {count(len(clips), 'video')}",
            "one, if it is that of all; or a list with a column licence; or --probe.unlicensed")  # fmt: skip
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
    with file:
        if not lock(file, wait=False):
            raise InputError(f"--output {folder}: another process is building there; wait, or choose another folder")
        yield
