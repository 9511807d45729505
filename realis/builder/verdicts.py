"""The verdicts of reviewers: a file to which each is appended, and the decision on a clip that follows from them.

A line is a verdict: ``{"clip", "digest", "reviewer", "verdict": "keep" | "drop" | "undo", "reason", "time"}``. Lines are
never changed. ``undo`` takes back the reviewer's last verdict on the clip that has not been undone. A clip is identified
by its name and its content: a clip that was cut anew has no verdict.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from realis.builder.clip import Clip
from realis.core.errors import InputError, file_error
from realis.core.records import append_row, build_record, load_json, whole_lines
from realis.core.system import lock

KEEP, DROP, UNDO = "keep", "drop", "undo"


@dataclass(frozen=True)
class Verdict:
    """One line of the file; ``time`` is in UTC, ISO 8601."""

    clip: str
    digest: str
    reviewer: str
    verdict: str
    reason: str = ""
    time: str = ""


class VerdictFile:
    """A file of verdicts that several processes may append to.

    Args:
        file: made, with its folder, when the first verdict comes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, clip: Clip, reviewer: str, verdict: str, reason: str = "") -> None:
        """Append a verdict; it is on disk when this returns.

        Raises:
            InputError: it cannot be written there; the file is then as before.
            RunError: the same where the disk is full or fails.
        """
        row = Verdict(
            clip.name, clip.digest, reviewer, verdict, reason, datetime.now(UTC).isoformat(timespec="seconds")
        )
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab+", buffering=0) as file:
                lock(file, wait=True)  # until the file is closed
                append_row(file, asdict(row))
        except OSError as error:
            raise file_error(
                f"{self.file}: the verdict cannot be written ({error.strerror or error})", error
            ) from error

    def read(self) -> list[Verdict]:
        """Read all verdicts. A last line without an end does not count: its writer was killed, or is still writing.

        Raises:
            InputError: another line is not a verdict.
        """
        if not self.file.is_file():
            return []
        return [self._parse(line, number) for number, line in enumerate(whole_lines(self.file.read_bytes()), 1)]

    def _parse(self, line: str, number: int) -> Verdict:
        try:
            verdict = build_record(Verdict, load_json(line))
            if verdict.verdict not in (KEEP, DROP, UNDO):
                raise ValueError(f"verdict {verdict.verdict!r}")
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.file}, line {number}: is no verdict ({error}); remove that line") from error
        return verdict


def valid_verdicts(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], dict[str, Verdict]]:
    """Return the valid verdict of each reviewer, by name and digest of the clip: the last one that was not undone."""
    given: dict[tuple[str, str], dict[str, list[Verdict]]] = {}
    for one in verdicts:
        of_reviewer = given.setdefault((one.clip, one.digest), {}).setdefault(one.reviewer, [])
        if one.verdict != UNDO:
            of_reviewer.append(one)
        elif of_reviewer:
            of_reviewer.pop()
    return {
        clip: last
        for clip, by_reviewer in given.items()
        if (last := {reviewer: said[-1] for reviewer, said in by_reviewer.items() if said})
    }


def opinions(clips: Iterable[Clip], verdicts: Iterable[Verdict]) -> dict[str, dict[str, Verdict]]:
    """Return the valid verdicts on ``clips``, by the name of each and by reviewer; empty where nobody has decided."""
    given = valid_verdicts(verdicts)
    return {clip.name: given.get((clip.name, clip.digest), {}) for clip in clips}


def decision(opinion: dict[str, Verdict]) -> Verdict | None:
    """Return the verdict that decides: the first that drops the clip, as its reviewer has seen what others have missed, or
    else the first. ``None``: nobody has decided."""
    drops = [one for one in opinion.values() if one.verdict == DROP]
    return next(iter(drops or opinion.values()), None)


def undecided(clips: Iterable[Clip], verdicts: Iterable[Verdict]) -> list[Clip]:
    """Return those of ``clips`` that have no verdict."""
    clips = list(clips)
    given = opinions(clips, verdicts)
    return [clip for clip in clips if not given[clip.name]]
