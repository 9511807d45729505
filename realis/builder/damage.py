"""Files of a build that have changed since they were made: they are removed, and made again."""

from pathlib import Path

from realis.builder.clip import Clip, Dropped
from realis.core.errors import InputError
from realis.core.units import count
from realis.video.fingerprint import fingerprint


class DamagedError(InputError):
    """Files of the build were damaged. They have been removed, so that the stages that made them make them again."""


def remove_damaged(files: list[Path]) -> None:
    """Remove ``files``, whose content has changed since they were made.

    Raises:
        DamagedError: there is at least one.
    """
    for file in files:
        file.unlink(missing_ok=True)
    if files:
        more = f", and {count(len(files) - 1, 'other file')}" if len(files) > 1 else ""
        raise DamagedError(f"{files[0]}{more}: no longer what was made; removed, to be made again")


def unreadable(clip: Clip, build: Path, reason: str, error: InputError) -> Dropped:
    """Return the record of a clip that is dropped because ``error`` says that it cannot be read.

    Raises:
        DamagedError: its file has changed since it was cut.
        InputError: its file is missing; the build can be resumed when it is back.
    """
    path = clip.path(build)
    if not path.exists():
        raise error
    if clip.file and fingerprint(path) != clip.digest:
        remove_damaged([path])
    return Dropped(clip.name, reason, str(error))
