"""The outputs of ``upscale``: name the files that a run writes, and check that none overwrites what it reads."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from realis.core.errors import InputError, require
from realis.core.files import check_name, fitting_name
from realis.upscaler import Needs
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.inputs import default_name
from realis.video.encoding import CODECS
from realis.video.names import IMAGES, files_in
from realis.video.results import is_result, is_sheet, notes_file, read_result_key, sheet_file
from realis.video.write import ENDINGS, check_ending


def output_names(config: UpscaleConfig, paths: list[Path]) -> list[Path]:
    """Return the output of each input: its result, or with ``--preview`` its preview.

    Raises:
        InputError: ``--output`` is one file for several inputs, or cannot be written to.
    """
    names = result_names(config, paths)
    return [preview_name(name) for name in names] if config.preview else names


def preview_name(file: Path) -> Path:
    """Return the file that a preview writes instead of ``file``."""
    return file.with_name(fitting_name(f"{file.stem}_preview", file.suffix))


def result_names(config: UpscaleConfig, paths: list[Path]) -> list[Path]:
    """Return the file or folder of each input's result.

    Raises:
        InputError: as :func:`output_names`.
    """
    folder = Path(config.output or "out")
    check_name(folder, "--output")
    names_a_file = folder.suffix.lower() in ENDINGS and not folder.is_dir()
    names = [default_name(path, config.target, config.codec, config.span) for path in paths]
    names_images = not Path(names[0]).suffix
    if config.output and len(paths) == 1 and (names_images or names_a_file):
        # The result replaces this folder: follow a link to the real one, and never replace the working directory.
        output = folder.resolve() if folder.is_symlink() and folder.is_dir() else folder
        around = folder.resolve() in (Path.cwd(), *Path.cwd().parents)
        require(not around, "--output", f"{folder}, in which this command runs", "a folder in it, or another one")
        return [output]
    require(not names_a_file, "--output", folder, "a folder for the results of several inputs")
    if not folder.is_dir():
        check_ending(folder)
    return [folder / name for name in names]


def drop_own_results(config: UpscaleConfig, paths: list[Path]) -> list[Path]:
    """Drop from several inputs what an earlier run of the same command wrote, and all notes and sheets: a shell that expands
    ``clips/*`` includes these, unlike :func:`realis.upscaling.app.inputs.find_inputs`."""
    if len(paths) == 1:
        return paths
    results = [output for output in output_names(config, paths) if is_result(output)]
    written = {file.resolve() for output in results for file in files_written(config, output)}
    paths = [path for path in paths if path.resolve() not in written]
    return [path for path in paths if path.suffix.lower() != ".json" and not is_sheet(path)] or paths


def files_written(config: UpscaleConfig, output: Path) -> list[Path]:
    """Return the files that upscaling to ``output`` writes: result, comparison, their notes, and the sheet."""
    results = [output, *([Path(config.compare)] if config.compare else [])]
    return [*results, *map(notes_file, results), sheet_file(output)]


def files_read(config: UpscaleConfig, needs: Needs, path: Path) -> Iterator[Path]:
    """Yield all that must not be overwritten: the files and folders of weights that upscaling ``path`` reads, and the folders
    that ``path`` is in."""
    yield path
    yield from path.resolve().parents
    yield from files_in(path, IMAGES) if path.is_dir() else ()
    yield from needs.weights.values()
    if config.prompt_file:
        yield Path(config.prompt_file)


def check_names(config: UpscaleConfig, needs: Needs, paths: list[Path], outputs: list[Path]) -> None:
    """Make sure that no file that is written overwrites what is read, another output, or notes that no run made.

    Raises:
        InputError: one would.
    """
    if config.compare:
        require(len(paths) == 1, "--compare", f"{config.compare} for {len(paths)} inputs", "one input")
        ending = Path(config.compare).suffix.lower()
        require(ending in CODECS["h264"].endings, "--compare", config.compare, ", ".join(CODECS["h264"].endings))
        check_name(Path(config.compare), "--compare")
    written = [file for output in outputs for file in files_written(config, output)]
    final = Counter(file.resolve() for file in written)
    read = {file.resolve() for path in paths for file in files_read(config, needs, path)}
    for file in written:
        if file.resolve() in read:
            raise InputError(f"--output, --compare: {file} is read by this run, and would be written over; choose "
                             "another name")  # fmt: skip
    if twice := [str(file) for file, times in final.items() if times > 1]:
        raise InputError(f"--output, --compare: several would be written to {', '.join(twice)}; rename the inputs, or "
                         "upscale them one by one")  # fmt: skip
    for file in [*outputs, *([Path(config.compare)] if config.compare else [])]:
        if notes_file(file).exists() and read_result_key(file) is None:
            raise InputError(f"--output: {notes_file(file)} would be written over, and no run of this command made it; move it, or "
                             "choose another name")  # fmt: skip
