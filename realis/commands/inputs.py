"""What is to be upscaled: files, folders, patterns; and the prompts of each."""

import json
from pathlib import Path

from realis.errors import InputError
from realis.video.encoding import CODECS
from realis.video.names import IMAGES, VIDEOS, natural


def find_inputs(words: tuple[str, ...]) -> list[Path]:
    """The inputs that words name: a file itself, the videos of a folder or else the folder as a row of images, what a
    pattern such as ``clips/*.mp4`` matches. In natural order, each once.

    Raises:
        InputError: a pattern matches nothing, a folder has neither.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            videos = sorted((file for file in path.iterdir() if file.suffix.lower() in VIDEOS), key=natural)
            if not videos and not any(file.suffix.lower() in IMAGES for file in path.iterdir()):
                raise InputError(f"--input {path}: is a folder without videos or images")
            found |= dict.fromkeys(videos or [path])
        elif path.exists() or not any(letter in word for letter in "*?["):
            found[path] = None
        else:
            matches = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))), key=natural)
            if not matches:
                raise InputError(f"--input {word}: matches nothing")
            found |= dict.fromkeys(matches)
    return list(found)


def default_name(path: Path, target: str, codec: str) -> str:
    """Name of a result: a video of a video, an image of an image, a folder of a folder, unless ``codec`` wants another."""
    is_image = path.suffix.lower() in IMAGES and not path.is_dir()
    if codec == "auto":
        codec = "png" if is_image or path.is_dir() else "h264"
    ending = CODECS[codec].endings[0] if is_image or codec != "png" else ""
    return f"{path.stem}_{target.replace('.', '_')}{ending}"


def read_prompts(file: str) -> dict[str, str]:
    """The prompts by file name, from JSON lines ``{"file": NAME, "prompt": TEXT}``; none without a file.

    Raises:
        InputError: a line is something else.
    """
    prompts = {}
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines() if file else []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--prompt-file {file}: cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                entry = json.loads(line)
                prompts[Path(entry["file"]).name] = str(entry["prompt"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f'--prompt-file {file}, line {number}: wanted {{"file": NAME, "prompt": TEXT}}'
                ) from error
    return prompts
