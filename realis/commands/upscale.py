"""``upscale``: enlarge videos, images and folders of images; composes inputs, method, plan and run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from realis.core import units
from realis.core.errors import InputError, error_of_several, file_error
from realis.core.log import logger
from realis.methods.registry import find_method
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.estimate import CostEstimator, Estimate
from realis.upscaling.app.inputs import find_inputs, read_prompts
from realis.upscaling.app.loading import Loader
from realis.upscaling.app.outputs import check_names, drop_own_results, output_names, preview_name
from realis.upscaling.app.plan import make_plan
from realis.upscaling.app.run import PREVIEW_FRAMES, announced_plan, prepare_job, upscale_file
from realis.video.encoding import SDR, Encoding
from realis.video.finished import check_replaced
from realis.video.source import VideoFormat, open_source
from realis.video.write import SegmentWriter, check_folder, check_output

SAMPLE = Path("out/sample.mp4")
SAMPLE_KEY = {"rendered": "the sample clip"}  # in its notes: a file without it is the user's, and is not overwritten
SAMPLE_FORMAT = VideoFormat((540, 960), Fraction(1), 8, alpha=False, opaque=True, color=SDR)


def upscale(config: UpscaleConfig) -> list[Path]:
    """Upscale as ``config`` says, or with ``dry_run`` estimate the cost; return the files written.

    Raises:
        InputError: something given cannot be used, or some of several inputs.
        RunError: the disk is full or memory is too small, for all inputs or for some.
    """
    if config.preview and config.compare:
        config = replace(config, compare=str(preview_name(Path(config.compare))))
    if not config.input:
        return upscale_sample(config)
    paths = drop_own_results(config, find_inputs(config.input))
    prompts = read_prompts(config.prompt_file)
    if unnamed := [path.name for path in paths if prompts and path.name not in prompts]:
        logger.warning("%s names %d of %d inputs, not %s", config.prompt_file, len(paths) - len(unnamed), len(paths),
                       ", ".join(unnamed[:3]) + ", ..." * (len(unnamed) > 3))  # fmt: skip
    outputs = output_names(config, paths)
    inputs = [
        (replace(config, prompt=prompts.get(path.name, config.prompt)), path, output)
        for path, output in zip(paths, outputs, strict=True)
    ]
    loader = Loader(find_method(config.method), config, [own.prompt for own, _, _ in inputs])
    check_names(config, loader.needs(prompted=False), paths, outputs)
    return upscale_several(loader, inputs) if len(inputs) > 1 else upscale_one(loader, *inputs[0])


def upscale_one(loader: Loader, config: UpscaleConfig, path: Path, output: Path) -> list[Path]:
    """Upscale one input, or with ``dry_run`` estimate the cost; return the file written, if any.

    Raises:
        InputError: it cannot be upscaled.
        RunError: the disk is full or memory is too small.
    """
    job = prepare_job(config, loader.needs(bool(config.prompt)), path, output)
    if not config.dry_run:
        return [upscale_file(job, loader)]
    CostEstimator(loader).estimate(job.format, job.plan, output, config.prompt)
    return []


def upscale_several(loader: Loader, inputs: list[tuple[UpscaleConfig, Path, Path]]) -> list[Path]:
    """Upscale several inputs, or with ``dry_run`` estimate their cost. A bad input does not stop the others.

    Args:
        loader: loads the method.
        inputs: configuration, path and output of each.

    Raises:
        InputError: some cannot be upscaled.
        RunError: some failed for another reason.
    """
    config = loader.config
    for folder in {output.parent for _, _, output in inputs if not config.dry_run}:
        check_folder(folder)
    failed: dict[Path, type[Exception]] = {}

    # 1. Leave out inputs that cannot be upscaled, before hours of work on the others
    planned: list[tuple[UpscaleConfig, Path, Path, int]] = []
    for input_config, path, output in inputs:
        with skip_failures(path, failed), open_source(path, input_config.deinterlace, input_config.span) as source:
            plan = announced_plan(input_config, loader.needs(bool(input_config.prompt)), source, output)
            frames = min(plan.frames or 0, PREVIEW_FRAMES if input_config.preview else plan.frames or 0)
            planned.append((input_config, path, output, frames * len(plan.tiles)))

    loader.prompts = [input_config.prompt for input_config, *_ in planned]

    # 2. Upscale; the remaining time is estimated from frames times tiles
    estimator, total, written = CostEstimator(loader), Estimate(), []
    began, seconds = time.monotonic(), 0.0
    left, done = sum(work for *_, work in planned), 0
    for number, (input_config, path, output, work) in enumerate(planned, start=1):
        remaining = f", about {units.duration(seconds * left / done)} left for all" if done else ""
        logger.info("%d of %d: %s%s", number, len(planned), path, remaining)
        left -= work
        with skip_failures(path, failed):
            job = prepare_job(input_config, loader.needs(bool(input_config.prompt)), path, output)
            started = time.monotonic()
            if config.dry_run:
                total += estimator.estimate(job.format, job.plan, output, input_config.prompt)
                continue
            written.append(upscale_file(job, loader))
            if not job.done:
                seconds += time.monotonic() - started
                done += work
    took = f"in all: {total}" if config.dry_run else f"done in {units.duration(time.monotonic() - began)}"
    logger.info("%d of %d %s", len(inputs) - len(failed), len(inputs), took)
    if failed:
        passes = "" if config.dry_run else ", and the same command (without --restart) passes over what is done"
        message = (
            f"{len(failed)} of {len(inputs)} inputs failed: {', '.join(map(str, failed))}; the messages above say why"
        )
        raise error_of_several(f"{message}{passes}", failed.values())
    return written


@contextmanager
def skip_failures(path: Path, failed: dict[Path, type[Exception]]) -> Iterator[None]:
    """Log an error of one of several inputs instead of raising it, and add the input to ``failed`` with the error's type."""
    try:
        yield
    except (InputError, OSError, MemoryError, RuntimeError, FloatingPointError) as error:
        known = file_error("", error) if isinstance(error, OSError) else error
        failed[path] = type(known)  # not the error itself: its traceback keeps tensors alive
        reason = " ".join(str(error).split()) or type(error).__name__
        logger.warning("%s: left out: %s", path, reason.removeprefix(f"{path}: "))


def upscale_sample(config: UpscaleConfig) -> list[Path]:
    """Render the sample clip (960x540, 17 frames at 25 a second), and upscale it.

    Raises:
        InputError: as :func:`upscale_one`, or another file is in the place of the sample clip.
    """
    (output,) = output_names(config, [SAMPLE])
    loader = Loader(find_method(config.method), config, [config.prompt])
    needs = loader.needs(bool(config.prompt))
    check_names(config, needs, [SAMPLE], [output])
    make_plan(config, needs, SAMPLE_FORMAT, output)
    for file in (SAMPLE, output):
        check_output(file)
    try:
        check_replaced(SAMPLE, SAMPLE_KEY, restart=True)
    except InputError as error:
        raise InputError(f"{SAMPLE}: is there, and is not the sample clip as this version renders it; move it away or delete "
                         "it, and it is rendered anew") from error  # fmt: skip

    from realis.data.photographs import sample_clip
    from realis.ops.pixels import planes_to_image, to_uint8

    with SegmentWriter(
        SAMPLE, SAMPLE_FORMAT.size, Fraction(25), Encoding(crf=20), key=SAMPLE_KEY, restart=True
    ) as sink:
        sink.write(0, (planes_to_image(to_uint8(frame)) for frame in sample_clip()))
    logger.info("no --input given: rendered the sample clip %s from photographs that scikit-image carries", SAMPLE)
    return upscale_one(loader, config, SAMPLE, output)
