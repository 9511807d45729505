"""What a user is told of an input: before the work, and when something is met in it. Each thing once."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from realis.log import logger
from realis.video.playback import FAULTS
from realis.video.results import notes_file
from realis.video.source import Source, TimedFrame, VideoSource
from realis.video.survey import Survey

INTERLACED = (
    "is interlaced, and its combs will be upscaled with it; give --deinterlace frame for a whole frame of each, or "
    "--deinterlace field for one of each field"
)


class Findings:
    """What was said of one input.

    Args:
        path: of the input.
        output: its result.
        deinterlaced: whether interlaced frames are made whole.
    """

    def __init__(self, path: Path, output: Path, deinterlaced: bool) -> None:
        self.path, self.output, self.deinterlaced = path, output, deinterlaced
        self._said: set[str] = set()

    def surveyed(self, survey: Survey) -> None:
        """Say what was found before the work."""
        for remark in (*survey.remarks, *survey.damage):
            self._say(remark, remark)
        self._say_properties(survey.interlaced, survey.not_kept)

    def played(self, start: int, frames: Sequence[TimedFrame], source: Source) -> dict[str, list[int]]:
        """Say what is met in ``frames``, the first of which has the number ``start``; return the numbers of those with
        a fault by its name."""
        faults: dict[str, list[int]] = {}
        for number, frame in enumerate(frames, start):
            if frame.fault:
                faults.setdefault(frame.fault, []).append(number)
                more = f"frame {number} {FAULTS[frame.fault]}; {notes_file(self.output).name} will name all like it"
                self._say(frame.fault, more)
        if isinstance(source, VideoSource):
            self._say_properties(source.interlaced, source.not_kept)
        return faults

    def _say_properties(self, interlaced: bool, not_kept: Iterable[str]) -> None:
        if interlaced and not self.deinterlaced:
            self._say("interlaced", INTERLACED)
        if new := [what for what in sorted(not_kept) if what not in self._said]:
            self._say(*new, f"the result cannot keep: {', '.join(new)}")

    def _say(self, *keys_and_remark: str) -> None:
        """Log a remark, unless all that it is about was said before."""
        *keys, remark = keys_and_remark
        if not self._said.issuperset(keys):
            logger.warning("%s: %s", self.path, remark)
        self._said.update(keys)
