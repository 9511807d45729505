"""The configuration of a build, and the order of its stages."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from realis.builder.captioner import CaptionsConfig
from realis.builder.duplicates import DuplicatesConfig
from realis.builder.keywords import KeywordsConfig
from realis.builder.on_ray import RayConfig
from realis.builder.probe import ProbeConfig
from realis.builder.publish import PublishConfig
from realis.builder.quality import QualityConfig
from realis.builder.review import ReviewConfig
from realis.builder.scenes import ScenesConfig
from realis.builder.split import SplitConfig
from realis.core.config import RUN
from realis.core.errors import require

# In the order in which they are run; each is described in the file of its name.
STAGES = ("probe", "scenes", "quality", "duplicates", "captions", "keywords", "review", "split", "publish")


@dataclass(frozen=True)
class BuildConfig:
    """Build RealisVideo-4K: clips with captions out of 4K footage, a test set with its LR, a dataset card."""

    source: tuple[str, ...] = ()  # folders, videos, patterns, or lists with file_name, licence, source, caption
    output: Annotated[str, RUN] = "out/realisvideo"  # folder of the build
    licence: str = ""  # of footage of which no list says another
    stages: Annotated[tuple[str, ...], RUN] = STAGES  # which to run; what they need of others must be there
    workers: Annotated[int, RUN] = 0  # processes, each on one core; 0: one a core
    # with settings that a build was not begun with: do the stages that they concern once more
    anew: Annotated[bool, RUN] = False
    executor: Annotated[Literal["local", "ray"], RUN] = "local"  # whose: this machine's, or a Ray cluster's
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
    # folder of footage known to be good: only write OUTPUT/quality.yaml, limits from it
    calibrate: Annotated[str, RUN] = ""

    def __post_init__(self) -> None:
        for stage in self.stages or ("none",):
            require(stage in STAGES, "--stages", stage, f"some of {', '.join(STAGES)}")
        require(self.workers >= 0, "--workers", self.workers, "0 or more")
