"""A candidate as HTML."""

import re
from html import escape

from realis.builder.clip import Clip
from realis.builder.keywords import DENIED_BEHIND, SENTENCE, VERSIONS, denied_spans, pattern_of
from realis.builder.review_queue import ReviewProgress
from realis.builder.verdicts import Verdict
from realis.core.units import count


def header_html(progress: ReviewProgress) -> str:
    """How far the review is."""
    share = 100 * progress.decided / max(progress.total, 1)
    done = progress.decided == progress.total
    note = "Every clip is decided: the build goes on in a moment; U takes the last verdict back." if done else ""
    return (
        f'<div id="progress" data-decided="{progress.decided}"><b>{progress.decided} of {progress.total} decided</b>'
        f'<div class="bar"><div style="width:{share:.1f}%"></div></div>'
        f"<span>{progress.kept} kept, {progress.dropped} dropped</span>"
        f'<span class="note">{note}</span></div>'
    )


def card_html(clip: Clip, place: int, total: int, opinion: dict[str, Verdict], crop: int, reviewer: str) -> str:
    """One candidate: its preview beside a part of it pixel for pixel (both filled in by ``review_page.js``), what is known
    of it, and what was said of it."""
    crop_height, crop_width = min(crop, clip.height), min(crop, clip.width)
    said = " ".join(
        f'<span class="{one.verdict}">{escape(one.reviewer)}: {one.verdict}{escape(f", {one.reason}" * bool(one.reason))}</span>'
        for one in opinion.values()
    )
    facts = f"{clip.width}x{clip.height}, {count(clip.frames, 'frame')}, {float(clip.rate):.5g} frames a second"
    return f"""
<div id="candidate" data-clip="{escape(clip.name)}" data-digest="{escape(clip.digest)}"
     data-height="{clip.height}" data-width="{clip.width}" data-crop-height="{crop_height}" data-crop-width="{crop_width}"
     style="--crop: {crop}px">
  <div class="title"><b>{escape(clip.name)}</b><span>{place + 1} of {total}</span><span>{facts}</span>
    <span class="said">{said}</span><span class="who">{escape(reviewer)}</span></div>
  <div class="media">
    <div class="film"><div class="screen"><span class="wait">making the preview&hellip;</span>
      <video muted autoplay loop playsinline></video><div class="here"></div></div></div>
    <div class="part"><span class="wait">reading a frame&hellip;</span><img alt="a part of one frame, pixel for pixel"></div>
  </div>
  <div class="under"><span>click: look there &nbsp; C: next detailed place &nbsp; space: stop and go</span>
    <span class="where"></span></div>
  <div class="known">
    <div class="caption">{caption_html(clip)}</div>
    <table class="scores">{scores_html(clip.scores)}</table>
  </div>
</div>"""


def caption_html(clip: Clip) -> str:
    """The caption with the words marked for which it was selected, and the keywords that they stand for."""
    parts, end = [], 0
    for start, stop in keyword_places(clip.caption, clip.keywords):
        parts += [escape(clip.caption[end:start]), f"<mark>{escape(clip.caption[start:stop])}</mark>"]
        end = stop
    chips = "".join(f"<span>{escape(word)}</span>" for word in clip.keywords)
    text = "".join(parts) + escape(clip.caption[end:])
    return f'<p>{text or "<i>no caption</i>"}</p><div class="keywords">{chips}</div>'


def keyword_places(caption: str, keywords: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where in ``caption`` the words are that assert one of ``keywords``, none overlapping another.

    >>> marks("No text; detailed fur.", ("detailed", "text"))
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


def scores_html(scores: dict[str, float]) -> str:
    """The scores as rows of a table, two to a row."""
    cells = [f"<th>{escape(name.replace('_', ' '))}</th><td>{value:.4g}</td>" for name, value in scores.items()]
    return "".join(f"<tr>{''.join(cells[i : i + 2])}</tr>" for i in range(0, len(cells), 2))
