"""The review page and its parts as HTML, by the templates ``review_*.html``."""

import re
from pathlib import Path

from realis.builder.clip import Clip
from realis.builder.keywords import DENIED_BEHIND, SENTENCE, VERSIONS, denied_spans, pattern_of
from realis.builder.review_queue import ReviewProgress
from realis.builder.verdicts import Verdict
from realis.core.units import count
from realis.serving.app import templates_in

TEMPLATES = templates_in(Path(__file__).parent)


def page_html(buttons: list[tuple[str, str]], longest_name: int, refresh: float) -> str:
    """Return the page, which ``review_page.js`` fills.

    Args:
        buttons: names and labels, in the order in which they are shown.
        longest_name: of a reviewer, in characters.
        refresh: seconds between two looks at what the others have done.
    """
    template = TEMPLATES.get_template("review_page.html")
    return template.render(buttons=buttons, longest_name=longest_name, refresh=refresh)


def header_html(progress: ReviewProgress) -> str:
    """Return how far the review is."""
    return TEMPLATES.get_template("review_header.html").render(progress=progress)


def card_html(clip: Clip, place: int, total: int, opinion: dict[str, Verdict], crop: int, reviewer: str) -> str:
    """Return one candidate: its preview beside a part of it pixel for pixel (both filled in by ``review_page.js``), what
    is known of it, and what was said of it."""
    return TEMPLATES.get_template("review_card.html").render(
        clip=clip, place=place, total=total, opinion=opinion, crop=crop, reviewer=reviewer,
        frames=count(clip.frames, "frame"), caption=caption_parts(clip.caption, clip.keywords),
    )  # fmt: skip


def caption_parts(caption: str, keywords: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Return the caption in parts, and of each whether it is a word for which the clip was selected."""
    parts, end = [], 0
    for start, stop in keyword_places(caption, keywords):
        parts += [(caption[end:start], False), (caption[start:stop], True)]
        end = stop
    return [part for part in [*parts, (caption[end:], False)] if part[0]]


def keyword_places(caption: str, keywords: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return where in ``caption`` the words are that assert one of ``keywords``, none overlapping another.

    >>> keyword_places("No text; detailed fur.", ("detailed", "text"))
    [(9, 17)]
    """
    # character for character, so that places stay what they are
    plain = "".join(low if len(low := letter.lower()) == 1 else letter for letter in caption)
    plain = re.sub(r"[\u2010-\u2015]", "-", plain).replace("\u2019", "'")
    forms = [form for lists in VERSIONS.values() for word in keywords for form in lists.select.get(word, (word,))]
    found: list[tuple[int, int]] = []
    for sentence in SENTENCE.finditer(plain) if forms else ():
        denied = denied_spans(sentence[0])
        for match in pattern_of(tuple(forms)).finditer(sentence[0]):
            is_denied = any(start <= match.start() < end for start, end in denied)
            if not is_denied and not DENIED_BEHIND.match(sentence[0], match.end()):
                found.append((sentence.start() + match.start(), sentence.start() + match.end()))
    return found
