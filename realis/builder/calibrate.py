"""``--calibrate``: set the limits of stage ``quality`` by footage that is known to be good."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import yaml

from realis.builder.quality import LIMITS, QualityConfig, drop_unclear, measure_scores
from realis.core.errors import InputError, require
from realis.core.files import whole_file
from realis.core.log import logger, progress
from realis.core.units import count
from realis.video.sequences import find_sequences

FEW = 20  # clips, below which percentiles say little
SHOWN = (0, 1, 5, 25, 50, 75, 95, 99, 100)  # percentiles


def calibrate(folder: Path, recipe: Path, config: QualityConfig, percent: float = 2.0) -> dict[str, float]:
    """Write limits that drop about ``percent`` per cent of the videos in ``folder`` by each score, as a YAML recipe.

    A limit on faults (bars, blocks, fake 4K, ...) is only ever loosened: that the reference has none does not make a trace
    of one worse. Videos that cannot be read are left out with a warning.

    Returns:
        The fields of :class:`QualityConfig` and their values.

    Raises:
        InputError: no video there can be measured, or the recipe cannot be written.
    """
    require(0 <= percent < 50, "percent", percent, "0 to 50")
    scores = measure_folder(folder, config)
    limits = limits_of(scores, config, percent)
    for low, high in (("min_brightness", "max_brightness"), ("min_motion", "max_motion")):
        require(limits[low] < limits[high], f"{folder}: {low}", limits[low], f"less than {high} {limits[high]}; "
                "wanted clips that differ, or a smaller share to drop")  # fmt: skip
    head = [f"# From {count(len(scores), 'clip')} of {folder}: each limit drops about {percent:g} % of them.", "#",
            f"# {'percentile':12s} {' '.join(f'{p:>9d}' for p in SHOWN)}"]  # fmt: skip
    for name in sorted({name for row in scores for name in row}):
        values = np.percentile([row[name] for row in scores if name in row], SHOWN)
        head.append(f"# {name:12s} {' '.join(f'{value:9.4g}' for value in values)}")
    with whole_file(recipe) as temporary:
        temporary.write_text("\n".join([*head, yaml.safe_dump({"quality": limits}, sort_keys=False)]), encoding="utf-8")
    return limits


def measure_folder(folder: Path, config: QualityConfig) -> list[dict[str, float]]:
    """Measure the scores of each video in ``folder`` and below.

    Raises:
        InputError: none can be measured.
    """
    videos = [clip.path for clip in find_sequences(folder) if not clip.images]
    scores = []
    for path in progress(videos, total=len(videos), unit="clip"):
        try:
            scores.append(drop_unclear(measure_scores(path, config.samples), config))
        except InputError as error:
            logger.warning("%s; left out", error)
    if not scores:
        raise InputError(f"{folder}: no video in it can be measured; wanted footage that you know to be good")
    if len(scores) < FEW:
        logger.warning("%s: %s; percentiles of fewer than %d say little", folder, count(len(scores), "clip"), FEW)
    return scores


def limits_of(scores: list[dict[str, float]], config: QualityConfig, percent: float) -> dict[str, float]:
    """Return the value of each limit by the percentiles of ``scores``, by its field; that of ``config`` where nothing was
    measured."""
    found: dict[str, float] = {}
    defaults = {field.name: getattr(config, field.name) for field in fields(config)}
    for limit in LIMITS:
        values = [row[limit.score] for row in scores if limit.score in row]
        low = limit.field.startswith("min_")
        value = float(np.percentile(values, percent if low else 100 - percent)) if values else defaults[limit.field]
        if limit.fault:
            value = (min if low else max)(value, defaults[limit.field])
        # Rounded outwards, so that the limit does not drop the very clip that set it.
        found[limit.field] = float((np.floor if low else np.ceil)(value * 1e4) / 1e4)
    return found
