"""Remarks on an input, logged before the work and when something is met in it, each one once."""

from collections.abc import Iterable
from pathlib import Path

from realis.core.log import logger
from realis.video.playback import FAULTS, Fault
from realis.video.results import notes_file
from realis.video.source import Source, VideoSource
from realis.video.survey import Survey

INTERLACED = (
    "is interlaced, as DVDs and tapes are: edges that move will show stripes; --deinterlace frame makes one frame of each "
    "pair of fields, --deinterlace field one of each field, at twice the rate"
)


class Findings:
    """Remarks on one input.

    Args:
        path: of the input.
        output: its result.
        deinterlaced: whether interlaced frames are made whole.

    Attributes:
        damage: what is damaged or missing, found before the work.
    """

    def __init__(self, path: Path, output: Path, deinterlaced: bool) -> None:
        self.path, self.output, self.deinterlaced = path, output, deinterlaced
        self.damage: tuple[str, ...] = ()
        self._told: set[str] = set()

    def log_survey(self, survey: Survey, dropped: Iterable[str]) -> None:
        """Log what was found before the work, and which streams are ``dropped`` from the result."""
        self.damage = survey.damage
        for remark in (*survey.remarks, *survey.damage, *dropped):
            self._tell(remark, [remark])
        self._tell_properties(survey.interlaced > 0, survey.not_kept)

    def log_frames(self, start: int, faults: Iterable[Fault], source: Source) -> dict[str, list[int]]:
        """Log what is met in frames with these ``faults``, the first of which has the number ``start``; return the
        numbers of those with a fault by its name. The survey looked at a few places only, so properties are looked at
        again."""
        found: dict[str, list[int]] = {}
        for number, fault in enumerate(faults, start):
            if fault:
                found.setdefault(fault, []).append(number)
                what, remedy = FAULTS[fault]
                more = (
                    f"frame {number} {what}: {remedy}; all such frames will be listed in {notes_file(self.output).name}"
                )
                self._tell(more, [fault])
        if isinstance(source, VideoSource):
            self._tell_properties(source.interlaced, source.not_kept)
        return found

    def _tell_properties(self, interlaced: bool, not_kept: Iterable[str]) -> None:
        if interlaced and not self.deinterlaced:
            self._tell(INTERLACED, ["interlaced"])
        if new := sorted(set(not_kept) - self._told):
            self._tell(f"the result cannot keep: {', '.join(new)}", new)

    def _tell(self, remark: str, about: list[str]) -> None:
        """Log a remark, unless all that it is ``about`` was told before."""
        if not self._told.issuperset(about):
            logger.warning("%s: %s", self.path, remark)
        self._told.update(about)
