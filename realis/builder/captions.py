"""Stage ``captions``: from the footage's list, from Qwen2.5-VL in this process, or from an OpenAI-compatible endpoint.

Each caption is kept in a file under ``work/captions`` of the build as soon as it is made, named by a digest of all that
it depends on: a run that was stopped, or is repeated, captions nothing twice.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import av
import cv2
import numpy as np

from realis.builder.captioner import Captioner, CaptionsConfig, NoCaption, Sample
from realis.builder.clip import LONGEST_TEXT, Clip, Dropped, Outcome, one_line
from realis.builder.damage import unreadable
from realis.core.errors import InputError
from realis.core.files import whole_file
from realis.core.log import logger
from realis.core.records import digest, load_json
from realis.parallel.queues import prefetch
from realis.video.orientation import quarter_turns
from realis.video.read import VideoReader

UNREADABLE = "cannot be read"
TOO_MANY = 10  # clips without a caption in a row: the endpoint or the settings are at fault then, not the clips

Given = TypeVar("Given")
Made = TypeVar("Made")


class CaptionRequest(NamedTuple):
    """A caption to be made: the file to keep it in, and what the captioner is shown, or why the clip is dropped."""

    file: Path
    sample: Sample | Dropped


def captions(clips: list[Clip], build: Path, config: CaptionsConfig) -> Iterator[tuple[Clip, list[Outcome]]]:
    """Yield each of ``clips`` with its caption, or dropped; first those whose captions are kept, the others as they are made.

    Raises:
        InputError: model or endpoint cannot be used, or the budget is spent; captions so far are kept for the next run.
        RunError: the endpoint fails or memory is too small; captions so far are kept.
    """
    if config.by == "given":
        yield from map(given_caption, clips)
        return
    asked: dict[Path, list[Clip]] = {}
    for clip in clips:
        file = caption_file(clip, build, config)
        if file.is_file():
            yield clip, [replace(clip, caption=read_caption(file))]
        else:
            asked.setdefault(file, []).append(clip)
    counts = {"cached": len(clips) - sum(map(len, asked.values())), "asked": 0, "failed": 0}
    summary = ""
    try:
        if asked:
            captioner = open_captioner(config)
            for file, answer in hold_back_failures(ask_all(captioner, asked, build, config)):
                for clip in asked[file]:
                    counts["asked" if isinstance(answer, str) else "failed"] += 1
                    yield clip, [add_answer(clip, answer)]
            summary = captioner.summary()
    finally:
        facts = ", ".join(f"{number} {what}" for what, number in counts.items())
        logger.info("captions: %s%s", facts, f" ({summary})" if summary else "")


def check_captions(clips: list[Clip], config: CaptionsConfig, elsewhere: bool) -> None:
    """Check that there will be captions for ``clips``, before hours are spent on what comes before them.

    Args:
        clips: the footage.
        config: of the captions.
        elsewhere: the model runs on other machines than this one.

    Raises:
        InputError: no caption is given, or the model cannot be found or run.
        RunError: there is no disk space for the model, or the endpoint does not answer.
    """
    if config.by == "endpoint":
        from realis.builder.caption_endpoint import EndpointCaptioner

        EndpointCaptioner(config).check()
    elif config.by == "qwen":
        from realis.builder.caption_qwen import check_model

        check_model(config, elsewhere)
    elif not any(clip.caption for clip in clips):
        raise InputError("--captions.by given: got no caption for any video, wanted a list with a column caption")


def given_caption(clip: Clip) -> tuple[Clip, list[Outcome]]:
    """Keep a clip that has a caption in the footage's list."""
    if clip.caption.strip():
        return clip, [clip]
    return clip, [Dropped(clip.name, "no caption given", f"{clip.video} has none in the column caption of its list")]


def add_answer(clip: Clip, answer: str | Dropped) -> Outcome:
    """Return ``clip`` with its caption, or dropped for the reason why there is none."""
    return replace(clip, caption=answer) if isinstance(answer, str) else replace(answer, name=clip.name)


def open_captioner(config: CaptionsConfig) -> Captioner:
    """Open the captioner that ``config`` asks for.

    Raises:
        InputError: it cannot be opened.
    """
    if config.by == "endpoint":
        from realis.builder.caption_endpoint import EndpointCaptioner

        return EndpointCaptioner(config)
    from realis.builder.caption_qwen import QwenCaptioner

    return QwenCaptioner(config)


def caption_file(clip: Clip, build: Path, config: CaptionsConfig) -> Path:
    """Return the file in which the caption of ``clip`` is kept, named by the clip's content and the settings of captions."""
    assert clip.digest, f"{clip.name}: captions are kept by the digest of clips, which this one lacks"
    inputs = [
        clip.digest,
        config.by,
        config.model,
        config.prompt,
        config.frames,
        config.max_pixels,
        config.max_tokens,
    ]
    return build / "work" / "captions" / f"{digest(inputs)}.json"


def read_caption(file: Path) -> str:
    """Read a caption from a file of :func:`write_caption`.

    Raises:
        InputError: the file is damaged.
    """
    try:
        caption = load_json(file.read_text(encoding="utf-8"))["caption"]
        if not isinstance(caption, str):
            raise TypeError(f"caption: got {caption!r:.60}, wanted text")
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{file}: is damaged ({error}); delete it, and the clip is captioned anew") from error
    return caption


def write_caption(file: Path, caption: str, model: str) -> None:
    """Write a caption to its file, atomically."""
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps({"caption": caption, "model": model}, ensure_ascii=False), encoding="utf-8")


def read_sample(clip: Clip, build: Path, config: CaptionsConfig) -> Sample:
    """Read the frames that are on screen in the middle of each of ``config.frames`` equal parts of the clip's duration.

    Raises:
        InputError: the clip cannot be read.
    """
    count = min(config.frames, clip.frames)
    duration = float(clip.frames / clip.rate)
    due = [(part + 0.5) * duration / count for part in range(count)]
    frames: list[np.ndarray] = []
    with VideoReader(clip.path(build)) as video:
        shown: tuple[float, av.VideoFrame] | None = None  # the frame on screen, and since when
        for frame in video.frames():
            start = shown[0] if shown else frame.time
            if frame.time is None or start is None:
                raise InputError(f"{video.path}: its frames have no times; remux it")
            while shown and len(frames) < count and due[len(frames)] < frame.time - start:
                frames.append(to_image(video, shown[1], config.max_pixels))
            if len(frames) == count:
                break
            shown = (start, frame)
        while shown and len(frames) < count:
            frames.append(to_image(video, shown[1], config.max_pixels))
    return Sample(frames, count / duration)


def to_image(video: VideoReader, frame: av.VideoFrame, pixels: int) -> np.ndarray:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, upright, reduced to at most ``pixels`` pixels."""
    image = video.rgb(frame)
    scale = (pixels / (image.shape[0] * image.shape[1])) ** 0.5
    if scale < 1:
        height, width = (max(1, int(side * scale)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(image, quarter_turns(frame)))


def ask_all(
    captioner: Captioner, asked: dict[Path, list[Clip]], build: Path, config: CaptionsConfig
) -> Iterator[tuple[Path, str | Dropped]]:
    """Yield the answer for each file of ``asked``, as they come; clips are read while the captioner is working."""
    (build / "work" / "captions").mkdir(parents=True, exist_ok=True)
    requests = (_read_request(file, clips[0], build, config) for file, clips in asked.items())
    batches = iter(lambda: list(islice(requests, captioner.together)), [])
    ask = partial(_answers, captioner, config.model)
    with closing(prefetch(batches, 1)) as ready:
        one_by_one = captioner.calls == 1
        for answers in map(ask, ready) if one_by_one else map_in_threads(ask, ready, captioner.calls, captioner.stop):
            yield from answers


def _read_request(file: Path, clip: Clip, build: Path, config: CaptionsConfig) -> CaptionRequest:
    try:
        return CaptionRequest(file, read_sample(clip, build, config))
    except InputError as error:
        return CaptionRequest(file, unreadable(clip, build, UNREADABLE, error))


def _answers(captioner: Captioner, model: str, requests: list[CaptionRequest]) -> list[tuple[Path, str | Dropped]]:
    """Caption a batch, and write each caption to its file at once, so that a later error loses none."""
    answers: list[tuple[Path, str | Dropped]] = [
        (file, sample) for file, sample in requests if isinstance(sample, Dropped)
    ]
    shown = [(file, sample) for file, sample in requests if isinstance(sample, Sample)]
    try:
        texts = captioner.caption([sample for _, sample in shown]) if shown else []
    except NoCaption as none:
        return [*answers, *((file, Dropped("", *none.args)) for file, _ in shown)]
    for (file, _), text in zip(shown, texts, strict=True):
        caption = check_caption(text, model)
        if isinstance(caption, str):
            write_caption(file, caption, model)
        answers.append((file, caption))
    return answers


def check_caption(text: str, model: str) -> str | Dropped:
    """Return the text of a model in one line, or why it is no caption: it is empty, or longer than :data:`LONGEST_TEXT`
    characters."""
    if len(text) > LONGEST_TEXT:
        return Dropped("", "caption too long", f"{model} said {len(text)} characters, wanted {LONGEST_TEXT} at most")
    return one_line(text) or Dropped("", "empty caption", f"{model} said nothing")


def map_in_threads(
    make: Callable[[Given], Made], items: Iterator[Given], threads: int, stop: Callable[[], None]
) -> Iterator[Made]:
    """What ``make`` makes of each item, as it is finished, ``threads`` at a time.

    After an error nothing new is begun; what is under way is finished and given, and then the error is raised. Where it
    ends before, as by Ctrl-C, ``stop`` is called, so that what is under way comes to an end.
    """
    under_way: set[Future[Made]] = set()
    errors: list[BaseException] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while not errors and len(under_way) < threads and (item := next(items, None)) is not None:
                    under_way.add(pool.submit(make, item))
                if not under_way:
                    break
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    if error := future.exception():
                        errors.append(error)
                    else:
                        yield future.result()
        except BaseException:
            stop()
            raise
    if errors:
        raise errors[0]


def hold_back_failures(answers: Iterator[tuple[Path, str | Dropped]]) -> Iterator[tuple[Path, str | Dropped]]:
    """Yield ``answers``; those without a caption are held back until one with a caption, or the end, shows that the
    captioner itself works.

    Raises:
        InputError: :data:`TOO_MANY` in a row have no caption.
    """
    held: list[tuple[Path, Dropped]] = []
    for file, answer in answers:
        if isinstance(answer, Dropped) and answer.reason != UNREADABLE:
            held.append((file, answer))
            if len(held) == TOO_MANY:
                raise InputError(
                    f"captions: {TOO_MANY} clips in a row got none, the last because of: {answer.reason} "
                    f"({answer.detail}); none of them was dropped; set it right and run again, "
                    "with --anew if that takes other settings"
                )
        else:
            if isinstance(answer, str):
                yield from held
                held.clear()
            yield file, answer
    yield from held
