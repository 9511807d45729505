"""Stage ``keywords``: keep detail-rich clips by words of their captions (paper: "RealisVideo-4K", 'keywords such as
"close-up" and "detailed"'). The word lists are versioned, so that a set can be built again."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from realis.builder.clip import Clip, Dropped, Outcome
from realis.core.errors import require


@dataclass(frozen=True)
class KeywordsConfig:
    """Which captions select a clip."""

    version: str = "1"  # of the word lists in realis/builder/keywords.py; later versions do not change earlier ones
    at_least: int = 1  # different keywords that a caption must have; 0 selects all but those with a negative one
    select: tuple[str, ...] = ()  # more keywords; a hyphen also stands for a space or nothing
    reject: tuple[str, ...] = ()  # more negative keywords: one of them drops the clip
    ignore: tuple[str, ...] = ()  # keywords of the lists, of either kind, that do not count

    def __post_init__(self) -> None:
        require(self.version in VERSIONS, "--keywords.version", self.version, f"one of {', '.join(VERSIONS)}")
        require(self.at_least >= 0, "--keywords.at-least", self.at_least, "0 or more")
        for name in ("select", "reject"):
            for word in getattr(self, name):
                require(bool(re.search(r"\w", word)), f"--keywords.{name}", repr(word), "words")
        known = {*VERSIONS[self.version].select, *VERSIONS[self.version].reject}
        for word in self.ignore:
            require(word in known, "--keywords.ignore", word, f"one of {', '.join(sorted(known))}")


@dataclass(frozen=True)
class WordLists:
    """Keywords, each with the words that stand for it; a hyphen in a word also stands for a space or nothing."""

    select: dict[str, tuple[str, ...]]
    reject: dict[str, tuple[str, ...]]


VERSIONS = {
    "1": WordLists(
        select={
            "close-up": ("close-up",), "macro": ("macro",), "detailed": ("detail",),
            "intricate": ("intricate", "intricately", "intricacy"), "texture": ("texture",),
            "fur": ("fur", "furry"), "hair": ("hair", "hairy"), "feathers": ("feather", "feathery"),
            "fabric": ("fabric",), "knit": ("knit", "knitwear"), "skin": ("skin",), "wrinkles": ("wrinkle",),
            "leaves": ("leaf", "leafy"), "foliage": ("foliage",), "grass": ("grass", "grassy"), "bark": ("bark",),
            "stone": ("stone", "cobble-stone"), "brick": ("brick", "brickwork"), "text": ("text",),
            "lettering": ("lettering",), "pattern": ("pattern",), "lace": ("lace",),
            "engraving": ("engraving", "engrave"), "crowd": ("crowd",), "cityscape": ("city-scape",),
        },
        reject={
            "blurry": ("blurry", "blur"), "out of focus": ("out of focus",), "bokeh": ("bokeh",),
            "shallow depth": ("shallow depth",), "foggy": ("foggy", "fog", "haze", "hazy"),
            # dark by itself is mostly a colour: "dark brown fur"
            "dark": ("dark scene", "dark image", "dark video", "dark footage", "too dark", "very dark", "under-exposed"),
            # so is a talk: "an animated conversation"
            "animation": ("animation", "cartoon", "computer-generated", "animated video", "animated film"),
            "screen recording": ("screen-recording", "screen capture", "screen-cast"), "watermark": ("water-mark",),
        },
    )
}  # fmt: skip

IRREGULAR = {"leaf": {"leaves"}, "city-scape": {"city-scapes"}}
# Forms that mean something else: a dog barks, a phone is for texting.
OTHER_MEANING = {
    "barked",
    "barking",
    "texted",
    "texting",
    "stoned",
    "stoning",
    "skinned",
    "skinning",
    "leafed",
    "leafing",
}

SENTENCE = re.compile(r"[^.!?;:\n]+")
TOKEN = re.compile(r"[\w'-]+|,")
REACH = 8  # words after a negation that it can negate
WEAK_REACH = 2  # the same of a word such as "little", which mostly modifies the next word only
NEGATION = re.compile(
    r"\b(?:no|not|never|without|neither|nor|none|lacks?|lacked|lacking|absence of|devoid of|free (?:of|from)|cannot"
    r"|hardly|barely|scarcely|instead of|rather than|\w+n't)\b(?! (?:only|just|merely|simply|doubt)\b)"
)
WEAK_NEGATION = re.compile(
    r"(?<!\ba )(?<!\bthe )(?<!\bhis )(?<!\bher )(?<!\bits )(?<!\btheir )"
    r"\b(?:little|few|less|minimal|limited|insufficient|low|poor)\b"
)
# A negation ends at one of these.
ENDS = {
    "and", "but", "yet", "however", "though", "although", "while", "whereas", "as", "which", "that", "where",
    "when", "because", "since", "so", "except", "with", "showing", "revealing",
}  # fmt: skip
# It also ends at one of these, unless the negation stands right before it: "no one on the stone bridge", "not in detail".
PLACES = {
    "in", "on", "at", "under", "behind", "near", "along", "across", "from", "over", "against", "beside", "between",
    "by", "around", "through", "the",
}  # fmt: skip
DENIED_BEHIND = re.compile(
    r"(?:-| )(?:free|less)\b"
    r"|(?: [\w'-]+){0,3} (?:absent|missing|lacking|lost|indistinct|indiscernible)\b"
    r"|(?: [\w'-]+){0,2} (?:cannot|not|hardly|barely|\w+n't)(?: be)?(?: [\w'-]+)?"
    r" (?:visible|discernible|present|resolved|seen|shown|apparent|detailed|distinct)\b"
)


def keywords(clip: Clip, build: Path, config: KeywordsConfig) -> Iterator[Outcome]:
    """Keep a clip whose caption has enough keywords and no negative one."""
    lists = VERSIONS[config.version]
    rejecting = find_keywords(clip.caption, leave_out(lists.reject, config.ignore), config.reject)
    selecting = find_keywords(clip.caption, leave_out(lists.select, config.ignore), config.select)
    if rejecting:
        word, sentence = next(iter(rejecting.items()))
        yield Dropped(clip.name, f"negative keyword: {word}", sentence)
    elif len(selecting) < config.at_least:
        found = ", ".join(selecting) or "none"
        yield Dropped(clip.name, "too few keywords", f"{found}; wanted {config.at_least}")
    else:
        yield replace(clip, keywords=tuple(selecting))


def keyword_counts(clips: Iterable[Clip]) -> Counter[str]:
    """Count how many of ``clips`` each keyword selected; a clip counts once for each of its keywords."""
    return Counter(word for clip in clips for word in clip.keywords)


def leave_out(words: dict[str, tuple[str, ...]], ignored: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return ``words`` without the keywords ``ignored``."""
    return {word: forms for word, forms in words.items() if word not in ignored}


def find_keywords(caption: str, words: dict[str, tuple[str, ...]], more: tuple[str, ...] = ()) -> dict[str, str]:
    """Find the keywords that ``caption`` asserts, in the order of the list, each with the first sentence that does.

    Args:
        caption: English text.
        words: keywords, each with the words that count for it.
        more: keywords that count for themselves only.

    >>> list(find_keywords("Macro shot without any text; knitted wool.", VERSIONS["1"].select))
    ['macro', 'knit']
    """
    plain = re.sub(r"[\u2010-\u2015]", "-", caption).replace("\u2019", "'").lower()
    sentences = [(match[0], denied_spans(match[0])) for match in SENTENCE.finditer(plain)]
    found: dict[str, str] = {}
    for word, standing in (words | {word: (word,) for word in more}).items():
        pattern = pattern_of(standing)
        sentence = next((text for text, denied in sentences if asserts(pattern, text, denied)), None)
        if sentence is not None:
            found[word] = " ".join(sentence.split())
    return found


def asserts(pattern: re.Pattern[str], sentence: str, denied: list[tuple[int, int]]) -> bool:
    """Return whether ``pattern`` occurs in ``sentence`` at least once where nothing negates it."""
    return any(
        not any(start <= match.start() < end for start, end in denied)
        and not DENIED_BEHIND.match(sentence, match.end())
        for match in pattern.finditer(sentence)
    )


def denied_spans(sentence: str) -> list[tuple[int, int]]:
    """Return the spans ``(start, end)`` of a sentence that words such as "no" or "without" negate."""
    strong = [(match.end(), _reach(sentence, match.end(), REACH)) for match in NEGATION.finditer(sentence)]
    weak = [(match.end(), _reach(sentence, match.end(), WEAK_REACH)) for match in WEAK_NEGATION.finditer(sentence)]
    return strong + weak


def _reach(sentence: str, start: int, words: int) -> int:
    """Return where the scope of a negation that ends at ``start`` ends, at most ``words`` words further."""
    tokens = list(TOKEN.finditer(sentence, start))
    for place, token in enumerate(tokens):
        goes_on = token[0] != "," or _is_enumeration([later[0] for later in tokens[place + 1 : place + 5]])
        if place >= words or token[0] in ENDS or (token[0] in PLACES and place) or not goes_on:
            return token.start()
    return len(sentence)


def _is_enumeration(later: list[str]) -> bool:
    """Return whether the words after a comma continue an enumeration: "no fur, hair or feathers"."""
    item = next((place for place, word in enumerate(later) if word in (",", "or", "nor")), None)
    return item is not None and item < 4


@cache
def pattern_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds any of ``words`` and their inflections as whole words.

    >>> [bool(pattern_of(("close-up",)).search(text)) for text in ("close ups", "closeup", "close upper")]
    [True, True, False]
    """
    forms = sorted({form for word in words for form in inflections(word.lower())}, key=len, reverse=True)
    escaped = (re.escape(form).replace(r"\-", r"[-\s]?").replace(r"\ ", r"[-\s]+") for form in forms)
    return re.compile(rf"(?<!\w)(?:{'|'.join(escaped)})(?!\w)")


def inflections(word: str) -> set[str]:
    """Return ``word``, its plural, and its forms with -ed and -ing, except those that mean something else.

    >>> sorted(inflections("knit"))
    ['knit', 'knits', 'knitted', 'knitting']
    """
    stem, doubled = word, word
    if word.endswith("e"):
        stem = doubled = word[:-1]
    elif re.search(r"[^aeiou][aeiou][bdgmnprt]$", word) and len(word) < 5:
        doubled = word + word[-1]  # knit, knitted; not pattern, patterned
    if word in IRREGULAR:
        plural = IRREGULAR[word]
    elif re.search(r"[^aeiou]y$", word):
        plural, doubled = {f"{word[:-1]}ies"}, word[:-1] + "i"
    else:
        plural = {f"{word}es" if re.search(r"(?:[sxz]|[cs]h)$", word) else f"{word}s"}
    return {word, f"{doubled}ed", f"{doubled if not doubled.endswith('i') else stem}ing", *plural} - OTHER_MEANING
