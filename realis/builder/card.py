"""The dataset card of a finished set, and its contact sheet."""

import html
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from realis.builder.clip import Clip, one_line
from realis.builder.run_stage import Tally
from realis.core.files import whole_file
from realis.core.units import count
from realis.pictures.sheet import grid_sheet, save_sheet
from realis.video.read import middle_frame

COLUMNS, SIDE, MOST = 5, 256, 60  # of the contact sheet: columns, pixels of a cell, cells


@dataclass(frozen=True)
class CardFacts:
    """Facts for the card on how a set was built.

    Args:
        title: of the set.
        lines: pixels of the shorter side.
        stages: what each of them kept and dropped.
        words: how many clips each keyword selected.
        captions: where the captions come from.
        review: a sentence on who reviewed the clips.
        recipe: the settings, as YAML.
    """

    title: str
    lines: int
    stages: list[Tally]
    words: Counter[str]
    captions: str
    review: str
    recipe: str


def write_contact_sheet(clips: list[Clip], build: Path, file: Path) -> None:
    """Save the middle frames of at most :data:`MOST` clips, spread over all, the test clips first."""
    ordered = sorted(clips, key=lambda clip: (clip.split != "test", clip.name))
    shown = [ordered[i * len(ordered) // min(MOST, len(ordered))] for i in range(min(MOST, len(ordered)))]
    images = ((f"{clip.split}: {clip.name}", middle_frame(clip.path(build))[0]) for clip in shown)
    save_sheet(grid_sheet(images, COLUMNS, SIDE), file)


def write_card(clips: list[Clip], facts: CardFacts, pictures: list[str], file: Path) -> None:
    """Write the dataset card: Markdown with the header that the Hub reads."""
    sections = [header(clips, facts), introduction(clips, facts), *(f"![{name}]({name})\n" for name in pictures),
                stages_table(facts), words_table(facts), licences_table(clips), recipe(facts)]  # fmt: skip
    with whole_file(file) as temporary:
        temporary.write_text("\n".join(section for section in sections if section), encoding="utf-8")


def header(clips: list[Clip], facts: CardFacts) -> str:
    """Return the YAML header for the Hub."""
    size = next(
        name
        for most, name in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e9, "n>100K"))
        if len(clips) < most
    )
    splits = [split for split in ("train", "test") if any(clip.split == split for clip in clips)]
    values = {
        "pretty_name": facts.title,
        "license": "other",
        "license_name": "see-the-licences-below",
        "size_categories": [size],
        "task_categories": ["video-to-video"],
        "tags": ["video-super-resolution"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": split, "path": f"{split}/*"} for split in splits]}
        ],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def introduction(clips: list[Clip], facts: CardFacts) -> str:
    """Return the first section: what the set is, in a few lines."""
    counts = Counter(clip.split for clip in clips)
    frames, videos = sum(clip.frames for clip in clips), len({clip.video for clip in clips})
    return (f"# {plain(facts.title)}\n\n{count(len(clips), 'clip')} of {facts.lines} lines with captions: {counts['train']} to "
            f"train on, {counts['test']} to test on; {count(frames, 'frame')} of {count(videos, 'video')}. No video has "
            f"clips on both sides, and videos of which two clips were found to show the same count as one. Built with "
            f"realis the way RealisVSR (arXiv 2507.19138) describes RealisVideo-4K: "
            f"captions ({plain(facts.captions)}), selection by keywords, review. {facts.review}\n\n"
            f"`metadata` beside the clips has a row a clip; `SHA256SUMS` its checksums.\n")  # fmt: skip


def table(titles: list[str], rows: list[list[object]]) -> str:
    """Return a Markdown table; its cells are shown as plain text."""
    lines = [titles, ["---"] * len(titles), *([plain(str(cell)) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(text: str) -> str:
    """Escape ``text`` so that Markdown shows it as it is, in one line: nothing in it is a link, HTML, or the end of a cell.
    Underscores within words are not escaped, as they mean nothing there and occur in addresses.

    >>> print(plain("a|b <i> [x](y) *c* my_file"))
    a\\|b &lt;i&gt; \\[x\\](y) \\*c\\* my_file
    """
    escaped = re.sub(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", one_line(text))
    return html.escape(escaped, quote=False)


def stages_table(facts: CardFacts) -> str:
    """Return the section on what each stage kept and dropped."""
    rows: list[list[object]] = [
        [t.name, t.given, t.kept, "; ".join(f"{reason}: {count}" for reason, count in t.reasons.most_common())]
        for t in facts.stages
    ]
    return "## What was kept\n\n" + table(["stage", "given", "kept", "dropped"], rows)


def words_table(facts: CardFacts) -> str:
    """Return the section on how many clips each keyword selected; empty without keywords."""
    rows: list[list[object]] = [[word, count] for word, count in facts.words.most_common()]
    return "## Keywords\n\n" + table(["keyword", "clips"], rows) if rows else ""


def licences_table(clips: list[Clip]) -> str:
    """Return the section on licences and sources of the footage."""
    counts = Counter((clip.licence or "not named", clip.origin or "not named") for clip in clips)
    rows: list[list[object]] = [[licence, origin, count] for (licence, origin), count in sorted(counts.items())]
    return "## Licences\n\n" + table(["licence", "source", "clips"], rows)


def recipe(facts: CardFacts) -> str:
    """Return the section with the settings, between code fences longer than any in them."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", facts.recipe))])
    return f"## Recipe\n\n{fence}yaml\n{facts.recipe}{fence}\n"
