"""Warnings about an input, from the survey before the work and from its frames during it; each is logged once."""

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
    """What is unusual about one input, and which warnings about it have been logged.

    Args:
        path: of the input.
        output: of the result.
        deinterlaced: whether the frames are deinterlaced.

    Attributes:
        damage: what the survey found damaged or missing.
    """

    def __init__(self, path: Path, output: Path, deinterlaced: bool) -> None:
        self.path, self.output, self.deinterlaced = path, output, deinterlaced
        self.damage: tuple[str, ...] = ()
        self._warned: set[str] = set()

    def log_survey(self, survey: Survey, dropped: Iterable[str]) -> None:
        """Log what the survey found, and which streams are ``dropped`` from the result."""
        self.damage = survey.damage
        for remark in (*survey.remarks, *survey.damage, *dropped):
            self._warn_once(remark, [remark])
        self._warn_of_properties(survey.interlaced > 0, survey.not_kept)

    def log_frames(self, start: int, faults: Iterable[Fault], source: Source) -> dict[str, list[int]]:
        """Log the first fault of each kind among ``faults``, one a frame from frame number ``start`` on (empty: none).
        Properties of the source are checked again, as the survey decoded only a few places.

        Returns:
            The numbers of the faulty frames, by fault.
        """
        found: dict[str, list[int]] = {}
        for number, fault in enumerate(faults, start):
            if fault:
                found.setdefault(fault, []).append(number)
                what, remedy = FAULTS[fault]
                remark = (
                    f"frame {number} {what}: {remedy}; all such frames will be listed in {notes_file(self.output).name}"
                )
                self._warn_once(remark, [fault])
        if isinstance(source, VideoSource):
            self._warn_of_properties(source.interlaced, source.not_kept)
        return found

    def _warn_of_properties(self, interlaced: bool, not_kept: Iterable[str]) -> None:
        if interlaced and not self.deinterlaced:
            self._warn_once(INTERLACED, ["interlaced"])
        if new := sorted(set(not_kept) - self._warned):
            self._warn_once(f"the result cannot keep: {', '.join(new)}", new)

    def _warn_once(self, remark: str, subjects: list[str]) -> None:
        """Log a remark, unless all of its ``subjects`` have been logged before."""
        if not self._warned.issuperset(subjects):
            logger.warning("%s: %s", self.path, remark)
        self._warned.update(subjects)
