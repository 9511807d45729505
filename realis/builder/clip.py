"""What the builder knows of a clip, and what it says of one that it drops."""

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
    """A clip; every stage knows more of it than the one before.

    Args:
        name: unique in the build; a file name without its ending.
        video: the footage that it comes from, as it was named.
        licence, origin: of the footage: columns of its list; empty if not known.
        file: its own file, relative to the folder of the build; empty before ``scenes``.
        height, width: in pixels, as shown.
        rate: frames a second.
        start, frames: where in the footage it begins, and how many it has.
        digest: of its content; of footage, before ``probe``, its size and when it was last written.
        scores: what ``quality`` measured, by name.
        hash: the perceptual hash of its frames, in hexadecimal.
        group: of videos that show the same in places; named after one of them.
        caption: what it shows.
        keywords: for which it was selected.
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
        """Where its frames are: its own file in the folder ``build``, or the footage."""
        return build / self.file if self.file else Path(self.video)

    def is_there(self, build: Path) -> bool:
        """Whether its own file, if it has one, is there with as many bytes as its digest says."""
        if not self.file:
            return True
        try:
            size = self.path(build).stat().st_size
        except OSError:
            return False
        return self.digest.partition("-")[0] in ("", str(size))

    def content(self) -> "Clip":
        """The same, without all that says something of its file and is not seen in it."""
        return Clip(self.name, self.video, file=self.file, height=self.height, width=self.width, rate=self.rate,
                    start=self.start, frames=self.frames, digest=self.digest)  # fmt: skip

    def changed_as(self, before: "Clip", after: "Clip") -> "Clip":
        """The same with what is new in ``after``."""
        new = {one.name: getattr(after, one.name) for one in fields(Clip)}
        return replace(self, **{name: value for name, value in new.items() if value != getattr(before, name)})

    def to_row(self) -> dict[str, Any]:
        """Plain values, without what is not known yet."""
        row = asdict(self) | {"rate": str(self.rate) if self.rate else "", "keywords": list(self.keywords)}
        return {name: value for name, value in row.items() if value or name == "name"}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Clip":
        """The clip of :meth:`to_row`.

        Raises:
            ValueError, TypeError, ArithmeticError: it is something else.
        """
        clip = build_record(cls, {name: value for name, value in row.items() if name != "rate"})
        return replace(clip, rate=Fraction(row.get("rate", 0)))


@dataclass(frozen=True)
class Dropped:
    """A clip that a stage does not pass on.

    Args:
        name: of the clip.
        reason: in few words, the same for all that are dropped for it: it is counted.
        detail: what was found in this one.
        scores: what was measured of it, by name.
    """

    name: str
    reason: str
    detail: str = ""
    scores: dict[str, float] = field(default_factory=dict)


Outcome = Clip | Dropped


def digest_of(clips: list[Clip], beside: str = "") -> str:
    """A text that changes with anything that is known of ``clips``, and with what is known ``beside`` them."""
    rows = json.dumps([clip.to_row() for clip in clips], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(os.fsencode(rows + beside)).hexdigest()[:32]


def printable(text: str) -> str:
    """``text`` with a question mark for all that is no character: bytes of file names that are no UTF-8, halves of
    surrogate pairs in JSON."""
    return text.encode(errors="replace").decode()


def one_line(text: str) -> str:
    """``text`` in one line: a space for what separates words, nothing for other control characters and those that say how
    the text is to be set, such as from right to left.

    >>> one_line("A cat,\\n\\x1b[31mred\\u202e, 猫")
    'A cat, [31mred, 猫'
    """
    words = " ".join(printable(text).split())
    return "".join(one for one in words if one in JOINERS or unicodedata.category(one) not in ("Cc", "Cf"))
