"""``build``: build RealisVideo-4K out of footage, or calibrate its quality limits (paper: "RealisVideo-4K")."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realis.builder.calibrate import calibrate
from realis.builder.clip import Clip
from realis.builder.config import STAGES, BuildConfig
from realis.builder.footage import find_footage
from realis.builder.on_ray import Cluster
from realis.builder.pipeline import Pipeline
from realis.builder.settings import CALIBRATED, Settings, check_build_folder
from realis.core.config import as_plain
from realis.core.errors import require
from realis.core.files import remove_leftovers
from realis.core.log import logger
from realis.core.system import locked_file
from realis.core.units import count
from realis.data.lr_sets.clips import DEGRADING
from realis.parallel.workers import Workers

STAGES_IMPORT = ("realis.builder.pipeline", "scenedetect")  # modules that worker processes need


def build(config: BuildConfig) -> None:
    """Run the stages. A build that was stopped is resumed where it was; of a finished one nothing is done again.

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
    check_output_outside_footage(folder, config.source, clips)
    check_build_folder(folder)
    on_ray = config.executor == "ray"
    modules = [*STAGES_IMPORT, *(DEGRADING if config.publish.lr else ())]
    executor = Cluster(config.ray, folder, config.workers) if on_ray else Workers(config.workers, modules=modules)
    with lock_folder(folder), executor:
        remove_leftovers(folder)
        settings = Settings(as_plain(config), STAGES, folder, config.anew)
        Pipeline(config, folder, settings, executor).run(clips)


def check_output_outside_footage(folder: Path, sources: tuple[str, ...], clips: list[Clip]) -> None:
    """Check that the output is not among the footage, where the next build would take clips for footage.

    Raises:
        InputError: it is.
    """
    own = folder.resolve()
    around = [word for word in sources if Path(word).is_dir() and Path(word).resolve() in (own, *own.parents)]
    within = [clip.video for clip in clips if own in Path(clip.video).resolve().parents]
    require(not around, "--output", f"{folder}, which is in --source {' '.join(around)}", "a folder outside of it")
    require(not within, "--source", f"{' '.join(within[:1])}, which is in --output", "footage that was not built there")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other builds out of ``folder``, by a lock in it.

    Raises:
        InputError: another process is building there, or the folder cannot be written.
    """
    with locked_file(folder / "work" / "lock", f"--output {folder}", "building"):
        yield
