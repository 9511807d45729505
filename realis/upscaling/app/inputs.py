"""The inputs of ``upscale``: find those that the command line names, name their results, read their prompts."""

import difflib
import glob
from pathlib import Path

from realis.core.errors import InputError, file_error, reason, require
from realis.core.files import fitting_name
from realis.core.log import logger
from realis.core.records import load_json
from realis.core.units import count
from realis.video.encoding import CODECS
from realis.video.names import IMAGES, VIDEOS, WILDCARDS, describe_folder, describe_unmatched, files_in, matching
from realis.video.span import WHOLE, Span

WINDOWS_MEDIA = (".wmv", ".asf")  # of the containers for results, only .mkv holds their audio codecs


def find_inputs(words: tuple[str, ...]) -> list[Path]:
    """Find the inputs that ``words`` name, in natural order, each once. A word is a file; a folder, which stands for its
    videos, or if it has none, for one sequence of images; or a pattern such as ``clips/*.mp4`` that matches these.

    Of folders and patterns, hidden files and results of earlier runs are left out (:func:`realis.video.names.files_in`).

    Raises:
        InputError: nothing is there, a pattern matches nothing, or a folder has neither videos nor images.
    """
    found: dict[Path, None] = {}
    for word in words:
        require(
            bool(word), "--input", "an empty name", "the name of a file or folder; is a variable of the shell not set?"
        )
        path = Path(word)
        if path.is_dir():
            inputs = inputs_of(path)
            if not inputs:
                held = describe_folder(path, VIDEOS + IMAGES)
                raise InputError(f"--input {path}: is a folder without videos or images; {held}")
            log_skipped(path, inputs)
        elif path.exists():
            inputs = [path]
        elif not any(letter in word for letter in WILDCARDS):
            raise InputError(missing_input(path))
        else:
            inputs = [one for match in matching(word) for one in inputs_of(match)]
            if not inputs:
                raise InputError(f"--input {word}: {describe_unmatched(word, VIDEOS + IMAGES)}")
        found |= dict.fromkeys(inputs)
    return list(found)


def log_skipped(folder: Path, inputs: list[Path]) -> None:
    """Log which images and subfolders of ``folder`` could be upscaled, but are not among its ``inputs``."""
    images = [] if inputs == [folder] else files_in(folder, IMAGES)
    folders = [one for one in matching(f"{glob.escape(str(folder))}/*") if one.is_dir() and inputs_of(one)]
    for things, example in ((count(len(images), "image"), images), (count(len(folders), "folder"), folders)):
        if example:
            logger.info(
                "%s: %s in it, such as %s, left out; name them to upscale them", folder, things, example[0].name
            )


def missing_input(path: Path) -> str:
    """Return the error message that nothing is at ``path``, with a similar name if there is one."""
    beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, 1) or [
        name for name in beside if name.startswith(f"{path.name} ")
    ]
    hint = f"; is {path.parent / near[0]} meant? A name with spaces needs quotation marks" if near else ""
    return f"--input {path}: nothing there; wanted a video, an image or a folder{hint}"


def inputs_of(path: Path) -> list[Path]:
    """Return the inputs that a folder or file stands for; none for a file that is no video or image."""
    if path.is_dir():
        return files_in(path, VIDEOS) or ([path] if files_in(path, IMAGES) else [])
    return [path] if path.suffix.lower() in VIDEOS + IMAGES else []


def default_name(path: Path, target: str, codec: str, span: Span = WHOLE) -> str:
    """Return the name of a result: of a video for a video, of an image for an image, of a folder for a folder of images,
    unless ``codec`` asks for another. The name holds the ``span`` unless that is the whole video."""
    is_folder = path.is_dir()
    is_image = path.suffix.lower() in IMAGES and not is_folder
    if codec == "auto":
        codec = "png" if is_image or is_folder else "h264"
    endings = CODECS[codec].endings
    ending = endings[0] if is_image or codec != "png" else ""
    if path.suffix.lower() in WINDOWS_MEDIA and ".mkv" in endings:
        ending = ".mkv"
    named = path if path.name not in ("", "..") else path.resolve()
    name = f"{named.name if is_folder else named.stem}_{target.replace('.', '_')}"
    if span != WHOLE:
        name += f"_{span}".replace(" ", "_").replace(".", "_")
    return fitting_name(name if ending else name.replace(".", "_"), ending)  # what follows a dot would be an ending


def read_prompts(file: str) -> dict[str, str]:
    """Read the prompts by file name from JSON lines ``{"file": NAME, "prompt": TEXT}``; none for an empty ``file``.

    Raises:
        InputError: the file cannot be read, or a line is something else.
    """
    prompts = {}
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines() if file else []
    except (OSError, UnicodeDecodeError) as error:
        raise file_error(f"--prompt-file {file}: cannot be read ({reason(error)})", error) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                entry = load_json(line)
                entry["prompt"].encode()  # fails for what is no text, and for half of a surrogate pair
                prompts[Path(entry["file"]).name] = entry["prompt"]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f'--prompt-file {file}, line {number}: wanted {{"file": NAME, "prompt": TEXT}}'
                ) from error
    return prompts
