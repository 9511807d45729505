"""Which files a run writes; and that none of them takes the place of what it reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from realis.commands.inputs import default_name
from realis.errors import InputError, require
from realis.video.encoding import CODECS
from realis.video.journal import made_from, notes_file
from realis.video.write import ENDINGS, check_output

if TYPE_CHECKING:
    from realis.commands.upscale import UpscaleConfig


def output_names(config: "UpscaleConfig", paths: list[Path]) -> list[Path]:
    """Where the result of each input goes, or its preview.

    Raises:
        InputError: one file is named for several.
    """
    names = result_names(config, paths)
    return [name.with_name(f"{name.stem}_preview{name.suffix}") for name in names] if config.preview else names


def result_names(config: "UpscaleConfig", paths: list[Path]) -> list[Path]:
    """Where the result of each input goes.

    Raises:
        InputError: one file is named for several.
    """
    folder = Path(config.output or "out")
    names_a_file = folder.suffix.lower() in ENDINGS and not folder.is_dir()
    names = [default_name(path, config.target, config.codec) for path in paths]
    names_images = not Path(names[0]).suffix
    if config.output and len(paths) == 1 and (names_images or names_a_file):
        return [folder]
    require(not names_a_file, "--output", folder, "a folder for the results of several inputs")
    if folder.suffix and not folder.is_dir():
        check_output(folder)  # an ending that is not known
    return [folder / name for name in names]


def sheet_file(output: Path) -> Path:
    """The picture beside a result that shows one frame before and after."""
    return output.with_name(f"{output.stem}_before_after.png")


def files_written(config: "UpscaleConfig", output: Path) -> list[Path]:
    """All files that upscaling to ``output`` writes."""
    sheet = [] if config.preview else [sheet_file(output)]
    return [output, notes_file(output), *sheet, *([Path(config.compare)] if config.compare else [])]


def files_read(config: "UpscaleConfig", path: Path) -> Iterator[Path]:
    """All files that upscaling ``path`` reads, except the model's, and the folders that ``path`` is in."""
    yield path
    yield from path.resolve().parents
    yield from path.iterdir() if path.is_dir() else ()
    yield from (Path(file) for file in (config.prompt_file, config.prompt_embeds, config.empty_prompt_embeds) if file)


def check_names(config: "UpscaleConfig", paths: list[Path], outputs: list[Path]) -> None:
    """Make sure that nothing that is written takes the place of an input, of something else that is written, or of a
    file beside it that no run made.

    Raises:
        InputError: it would.
    """
    if config.compare:
        require(len(paths) == 1, "--compare", f"{config.compare} for {len(paths)} inputs", "one input")
        ending = Path(config.compare).suffix.lower()
        require(ending in CODECS["h264"].endings, "--compare", config.compare, ", ".join(CODECS["h264"].endings))
    written = [file for output in outputs for file in files_written(config, output)]
    final = [file.resolve() for file in written]
    read = {file.resolve() for path in paths for file in files_read(config, path)}
    for file in written:
        if file.resolve() in read:
            raise InputError(f"--output, --compare: {file} is read by this run, and would be written over; choose "
                             "another name")  # fmt: skip
    if twice := {str(file) for file in final if final.count(file) > 1}:
        raise InputError(f"--output, --compare: several would be written to {', '.join(twice)}; rename the inputs, or "
                         "upscale them one by one")  # fmt: skip
    for output in outputs:
        if notes_file(output).exists() and made_from(output) is None:
            raise InputError(f"--output: {notes_file(output)} would be written over, and no run of this command made it; move it, or "
                             "choose another name")  # fmt: skip
