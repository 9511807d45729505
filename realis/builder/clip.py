"""The records of the builder: a clip with all that is known of it, and a clip that was dropped."""

import hashlib
import json
import os
import unicodedata
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from realis.core.records import build_record

LONGEST_TEXT = 2**14  # characters of a caption, a licence, a source; a caption of 512 tokens has some 2,500
JOINERS = "\u200c\u200d"  # format characters that scripts and emoji need


@dataclass(frozen=True)
class Clip:
    """A clip, or before ``scenes`` a whole video of the footage; each stage fills in more of its fields.

    Args:
        name: unique in the build; a file name without its ending.
        video: path of the footage that it comes from, as given.
        licence, origin: of the footage, from its list; empty if not known.
        file: its own file, relative to the folder of the build; empty before ``scenes``.
        height, width: in pixels, as shown.
        rate: frames a second.
        start, frames: its first frame in the footage, and its number of frames.
        digest: digest of its content; of footage, before ``probe``, of size and time of modification.
        scores: scores that ``quality`` measured, by name.
        hash: perceptual hashes of its frames, in hexadecimal.
        group: group of videos with clips that show the same; named after one of them.
        caption: what it shows.
        keywords: the keywords that selected it.
        split: ``train`` or ``test``.
    """

    name: str
    video: str
    licence: str = ""
    origin: str = ""
    file: str = ""
    height: int = 0
    width: int = 0
    rate: Fraction = Fraction(0)
    start: int = 0
    frames: int = 0
    digest: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    hash: str = ""
    group: str = ""
    caption: str = ""
    keywords: tuple[str, ...] = ()
    split: str = ""

    def path(self, build: Path) -> Path:
        """Return the file with its frames: its own in the folder ``build``, or the footage."""
        return build / self.file if self.file else Path(self.video)

    def is_there(self, build: Path) -> bool:
        """Return whether its own file, if it has one, is there with as many bytes as its digest says."""
        if not self.file:
            return True
        try:
            size = self.path(build).stat().st_size
        except OSError:
            return False
        return self.digest.partition("-")[0] in ("", str(size))

    def content(self) -> "Clip":
        """Return the clip with nothing but the fields that describe its content and file."""
        return Clip(self.name, self.video, file=self.file, height=self.height, width=self.width, rate=self.rate,
                    start=self.start, frames=self.frames, digest=self.digest)  # fmt: skip

    def with_changes(self, before: "Clip", after: "Clip") -> "Clip":
        """Return this clip with the fields in which ``after`` differs from ``before``."""
        new = {one.name: getattr(after, one.name) for one in fields(Clip)}
        return replace(self, **{name: value for name, value in new.items() if value != getattr(before, name)})

    def to_row(self) -> dict[str, Any]:
        """Return the clip as a row of plain values, without empty fields."""
        row = asdict(self) | {"rate": str(self.rate) if self.rate else "", "keywords": list(self.keywords)}
        return {name: value for name, value in row.items() if value or name == "name"}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Clip":
        """Return the clip of a row of :meth:`to_row`.

        Raises:
            ValueError, TypeError, ArithmeticError: the row is something else.
        """
        clip = build_record(cls, {name: value for name, value in row.items() if name != "rate"})
        return replace(clip, rate=Fraction(row.get("rate", 0)))


@dataclass(frozen=True)
class Dropped:
    """A clip that a stage does not pass on.

    Args:
        name: of the clip.
        reason: in few words, the same for all clips that are dropped for it, as these are counted.
        detail: what was found in this clip.
        scores: its scores, by name, if it was measured.
    """

    name: str
    reason: str
    detail: str = ""
    scores: dict[str, float] = field(default_factory=dict)


Outcome = Clip | Dropped


def digest_of(clips: list[Clip], extra: str = "") -> str:
    """Return a digest of all fields of ``clips``, and of ``extra``."""
    rows = json.dumps([clip.to_row() for clip in clips], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(os.fsencode(rows + extra)).hexdigest()[:32]


def printable(text: str) -> str:
    """Replace lone surrogates in ``text`` by question marks: they stand for bytes of file names that are not UTF-8, or come
    from JSON."""
    return text.encode(errors="replace").decode()


def one_line(text: str) -> str:
    """Return ``text`` in one line: white space becomes one space, and other control and format characters, such as those that
    change the direction of the text, are removed.

    >>> one_line("A cat,\\n\\x1b[31mred\\u202e, 猫")
    'A cat, [31mred, 猫'
    """
    words = " ".join(printable(text).split())
    return "".join(one for one in words if one in JOINERS or unicodedata.category(one) not in ("Cc", "Cf"))
