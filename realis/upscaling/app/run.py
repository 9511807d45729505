"""Upscale one video, image or folder of images: plan, read, upscale, write, resuming where an earlier run stopped."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from realis.core import units
from realis.core.errors import InputError
from realis.core.files import remove_temporary_files
from realis.core.log import logger, progress
from realis.core.system import peak_memory
from realis.parallel.queues import BackgroundWriter, prefetch
from realis.tiling.plan import round_up
from realis.upscaler import Needs
from realis.upscaling.app.comparison import (
    check_sheet,
    comparison_encoding,
    comparison_key,
    has_sheet,
    save_before_after,
    save_comparison,
)
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.findings import Findings
from realis.upscaling.app.frames import quantize, read_frames
from realis.upscaling.app.loading import Loader, is_out_of_memory, out_of_memory_error
from realis.upscaling.app.meters import Meters, log_meters
from realis.upscaling.app.plan import Plan, advice, describe, make_plan, tiles_of
from realis.video.encoding import CODECS
from realis.video.fingerprint import fingerprint, fingerprint_all
from realis.video.finished import check_replaced, is_finished
from realis.video.journal import tidy_up
from realis.video.names import IMAGES
from realis.video.other_streams import dropped_streams
from realis.video.results import notes_file, sheet_file
from realis.video.source import FolderSource, Source, VideoFormat, VideoSource, open_source
from realis.video.span import format_seconds
from realis.video.survey import middle, survey
from realis.video.write import SegmentWriter, check_output

READ_AHEAD = 4  # frames
PREVIEW_FRAMES = 5  # two latent frames: the first and four more
LEAST_TILE = 64  # pixels
INPUT = "the input"  # names the content of the input in the key of a result


@dataclass(frozen=True)
class Job:
    """The work on one input, prepared before torch is imported.

    Args:
        config: as given; of a preview, narrowed to the part that it shows.
        path: of the input.
        output: of the result.
        format: of the input.
        plan: how it will be upscaled.
        key: all that the result depends on, as plain values.
        done: whether a finished result of the same key is there.
        findings: warnings about the input.
    """

    config: UpscaleConfig
    path: Path
    output: Path
    format: VideoFormat
    plan: Plan
    key: dict[str, Any]
    done: bool
    findings: Findings


def prepare_job(config: UpscaleConfig, needs: Needs, path: Path, output: Path) -> Job:
    """Check all that can be checked before the work on one input, and log its plan.

    Raises:
        InputError: something given cannot be used.
    """
    if config.preview:
        part = middle(path, config.span, PREVIEW_FRAMES)
        end = "" if part.stop is None else format_seconds(part.stop - part.start)
        config = replace(config, start=format_seconds(part.start), duration=end)
    with open_source(path, config.deinterlace, config.span) as source:
        if output.suffix.lower() == ".png" and len(list(islice(source.frames(), 2))) > 1:
            what = "is animated" if path.suffix.lower() in IMAGES else "has more frames than one"
            raise InputError(
                f"--output {output}: got one image, but {path} {what}; wanted a video or a folder of images"
            )
        plan = announced_plan(config, needs, source, output)
    key = result_key(config, path, plan)
    done = not config.restart and is_finished(output, key)
    findings = Findings(path, output, config.deinterlace != "no")
    if not config.dry_run:
        if not done:
            check_output(output, others=(sheet_file(output),))
            check_replaced(output, key, config.restart)
            check_sheet(output)
        if config.compare:
            check_output(Path(config.compare), flag="--compare")
            check_replaced(Path(config.compare), comparison_key(key), config.restart, "--compare")
            comparison_encoding(plan.size, plan.encoding.color)
    if not done:
        plan = survey_plan(config, path, source, plan, output, findings)
    logger.info(describe(config, source.format, source.rate, plan))
    for line in advice(config, source.format, plan):
        logger.info(line)
    return Job(config, path, output, source.format, plan, key, done, findings)


def announced_plan(config: UpscaleConfig, needs: Needs, source: Source, output: Path) -> Plan:
    """Return the plan by the headers of the source, before any of it is decoded.

    Raises:
        InputError: as :func:`realis.upscaling.app.plan.make_plan`.
    """
    return replace(make_plan(config, needs, source.format, output), frames=source.frame_count)


def upscale_file(job: Job, loader: Loader) -> Path:
    """Upscale one input, and make its sheet and comparison; return the result.

    Raises:
        InputError: the input was changed meanwhile, or cannot be decoded.
        RunError: the disk is full or memory is too small.
    """
    config, path, output, plan, began = job.config, job.path, job.output, job.plan, time.monotonic()

    # 1. The result
    if job.done:
        tidy_up(output)
        logger.info("%s is there already, made from the same with the same settings; --restart makes it anew", output)
    else:
        write_result(job, loader)

    # 2. Sheet and comparison: also where the result was there, but they are not
    comparison, pictures = Path(config.compare), []
    if not (job.done and has_sheet(output, job.key)):
        pictures.append(sheet_file(output))
        shown = min(plan.segments.frames, plan.frames or 1) // 2
        save_before_after(config, plan.needs, path, output, job.key, shown)
    if config.compare and not (job.done and is_finished(comparison, comparison_key(job.key))):
        pictures.append(comparison)
        save_comparison(config, path, output, job.key)
    for file in (output, notes_file(output), sheet_file(output)):
        remove_temporary_files(file)
    files, took = " and ".join(map(str, [output] * (not job.done) + pictures)), time.monotonic() - began
    if files:
        peak = peak_memory()
        memory = f", peak memory {peak:.1f} GiB" if peak else ""
        logger.info("wrote %s in %s%s", files, units.duration(took), memory)
    return output


def survey_plan(
    config: UpscaleConfig, path: Path, source: Source, plan: Plan, output: Path, findings: Findings
) -> Plan:
    """Survey a source, log what is unusual about it, and return the plan with the number of frames.

    Raises:
        InputError: it cannot be upscaled as it is.
    """
    found = survey(path, config.strict, config.span)
    if source.format.opaque and not found.opaque:  # a frame after the first is transparent
        plan = make_plan(config, plan.needs, replace(source.format, alpha=True, opaque=False), output)
    endings = CODECS[plan.encoding.codec].endings
    has_sound = isinstance(source, VideoSource) and "" not in endings
    findings.log_survey(found, dropped_streams(path, output, endings) if has_sound else ())
    fields = (found.interlaced or 1.0) if config.deinterlace == "field" else 0.0  # further frames for each frame
    return replace(plan, frames=round(found.frames * (1 + fields)))


def input_content(path: Path) -> str:
    """Return the fingerprint of the content of a file or a folder of images."""
    return fingerprint_all(FolderSource(path).files, path) if path.is_dir() else fingerprint(path)


def result_key(config: UpscaleConfig, path: Path, plan: Plan) -> dict[str, Any]:
    """Return all that a result depends on, as plain values of JSON: version, content of input and weights, settings."""
    weights, parts = plan.needs.weights.items(), plan.needs.parts
    content = {f"content of --{config.prefix}{name}": fingerprint(path, parts.get(path, ())) for name, path in weights}
    settings = config.settings(plan.needs)
    key = {"realis": version("realis"), INPUT: input_content(path), "the part": str(config.span), **settings, **content}
    return json.loads(json.dumps(key))


def write_result(job: Job, loader: Loader) -> None:
    """Upscale an input; when the device runs out of memory, go on with smaller tiles, and log that.

    Raises:
        InputError: the input was changed meanwhile, or cannot be decoded.
        RunError: the disk is full, or memory is too small for the smallest tiles.
    """
    plan, restart = job.plan, job.config.restart
    while True:
        try:
            with (
                open_source(job.path, job.config.deinterlace, job.config.span) as source,
                SegmentWriter(
                    job.output,
                    plan.size,
                    source.rate,
                    plan.encoding,
                    source,
                    plan.pixel_aspect,
                    job.key,
                    restart,
                    job.findings.damage,
                ) as sink,
            ):
                tile = sink.journal.settle_tile(plan.tile, plan.needs.multiple)
                plan = plan if tile == plan.tile else with_tile(plan, tile)
                upscale_segments(replace(job, plan=plan), loader, source, sink)
                if input_content(job.path) != job.key[INPUT]:
                    raise InputError(f"{job.path}: was changed while it was read; nothing was written. Give the same command "
                                     "with --restart")  # fmt: skip
                log_meters(sink.journal.segments[-1].measured)
                return
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        plan, restart = with_half_the_tile(plan), False
        logger.warning("out of memory; going on with tiles of %dx%d", *plan.tile[::-1])


def with_tile(plan: Plan, tile: tuple[int, int]) -> Plan:
    """Return ``plan`` with tiles of another height and width."""
    return replace(plan, tiles=tiles_of(plan.native_size, plan.needs, tile))


def with_half_the_tile(plan: Plan) -> Plan:
    """Return ``plan`` with tiles of half the height and width.

    Raises:
        RunError: they would be too small, or the method takes whole frames.
    """
    least = max(LEAST_TILE, 2 * plan.needs.tile_overlap)
    halves = (round_up(side // 2, plan.needs.multiple) for side in plan.tile)
    height, width = (half if half >= least else side for half, side in zip(halves, plan.tile, strict=True))
    if plan.needs.tile is None or (height, width) == plan.tile:
        raise out_of_memory_error(plan)
    return with_tile(plan, (height, width))


def upscale_segments(job: Job, loader: Loader, source: Source, sink: SegmentWriter) -> None:
    """Read, upscale and write segment by segment, from where the journal ends."""
    config, plan, findings = job.config, job.plan, job.findings
    done = sink.journal.segments
    first = done[-1].stop if done else 0
    if done:
        logger.info("going on from frame %d of %s of an earlier run", first, plan.frames or "an unknown number")
    if sink.journal.complete:
        return

    from realis.upscaling.color_fix import ColorFix
    from realis.upscaling.stream import upscale_stream
    from realis.upscaling.strength import blend_with_input

    upscaler, carry, strength = loader.upscaler, sink.journal.carry(), config.strength_for(plan.needs)
    fix = ColorFix(config.color_fix, {n[6:]: carry.pop(n) for n in list(carry) if n.startswith("color.")})
    meters = Meters(plan, carry, first)
    opaque, cuts = not plan.encoding.alpha and not config.drop_alpha, 0
    with (
        explain_interrupt(sink, plan),
        closing(prefetch(source.frames(first), READ_AHEAD)) as decoded,  # closed before the source is
        BackgroundWriter() as writer,
        progress(total=plan.frames, unit="frame", initial=first) as bar,
    ):

        def advance(done: float) -> None:
            bar.update(done if bar.total is None else min(done, max(bar.total - bar.n, 0)))

        frames = read_frames(source, decoded, opaque)  # in this thread, as torch in two threads slows both
        for segment in upscale_stream(
            upscaler,
            frames,
            plan.size,
            plan.tiles,
            config.seed,
            advance,
            start=first,
            carry=carry,
            prompt=config.prompt,
            across_cuts=config.across_cuts,
        ):
            images = []
            for position, (pixels, frame) in enumerate(zip(segment.frames, segment.source, strict=True)):
                result = blend_with_input(fix(pixels, frame.pixels), frame.pixels, strength)
                meters.add(result, frame.pixels, position)
                images.append(quantize(result, frame.alpha, plan.encoding))
            if segment.cut:
                cuts += 1
                fix.state.clear()  # the next shot has colours of its own
                meters.begin_shot()
            kept = segment.carry | {f"color.{name}": x.clone() for name, x in fix.state.items()} | meters.state
            measured = meters.notes() if segment.last else {}
            times = [frame.time for frame in segment.source]
            durations = [frame.duration for frame in segment.source]
            faults = findings.log_frames(segment.start, (frame.fault for frame in segment.source), source)
            writer.do(sink.write, segment.start, images, times, durations, faults, kept, segment.last, measured)
            del segment, images  # two segments at once would double the memory
    if cuts:
        logger.info("found %s, and no segment goes across one", units.count(cuts, "scene cut"))


@contextmanager
def explain_interrupt(sink: SegmentWriter, plan: Plan) -> Iterator[None]:
    """Make Ctrl-C say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        done = sink.journal.segments
        kept = "no segment was finished, and nothing is kept"
        if done:
            total = plan.frames or "all"
            kept = f"the same command (without --restart) goes on after the {done[-1].stop} of {total} frames that are done"
        raise KeyboardInterrupt(f"stopped; {kept}") from None
