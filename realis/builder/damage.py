"""Files of a build that are no longer what was made: they are removed, and made again."""

from pathlib import Path

from realis.builder.clip import Clip, Dropped
from realis.core.errors import InputError
from realis.core.units import count
from realis.video.fingerprint import fingerprint


class DamagedError(InputError):
    """Files were damaged after they were made. They have been removed: the stages that made them do so again."""


def remove_damaged(files: list[Path]) -> None:
    """Remove ``files``, of which the content is another than when they were made.

    Raises:
        DamagedError: there are some.
    """
    for file in files:
        file.unlink(missing_ok=True)
    if files:
        more = f", and {count(len(files) - 1, 'other file')}" if len(files) > 1 else ""
        raise DamagedError(f"{files[0]}{more}: no longer what was made; removed, to be made again")


def unreadable(clip: Clip, build: Path, reason: str, error: InputError) -> Dropped:
    """Drop a clip that cannot be read because of ``error``.

    Raises:
        DamagedError: it could when it was cut.
        InputError: its file is not there any more; when it is back, the build goes on.
    """
    path = clip.path(build)
    if not path.exists():
        raise error
    if clip.file and fingerprint(path) != clip.digest:
        remove_damaged([path])
    return Dropped(clip.name, reason, str(error))
