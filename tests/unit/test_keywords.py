from pathlib import Path

import pytest

from realis.builder.captioner import PROMPT
from realis.builder.clip import Clip, Dropped
from realis.builder.keywords import (
    VERSIONS,
    KeywordsConfig,
    find_keywords,
    inflections,
    keyword_counts,
    keywords,
    pattern_of,
)
from realis.core.errors import InputError

SELECT, REJECT = VERSIONS["1"].select, VERSIONS["1"].reject


def outcome(caption, **options):
    [only] = keywords(Clip("a", "a.mp4", caption=caption), Path(), KeywordsConfig(**options))
    return only


@pytest.mark.parametrize("caption, found", [
    ("A close-up of a cat.", ["close-up"]), ("a close up", ["close-up"]), ("Two CLOSEUPS", ["close-up"]),
    ("a close\u2011up", ["close-up"]), ("close-ups", ["close-up"]),
    ("It is richly detailed", ["detailed"]), ("fine details", ["detailed"]), ("the detailing", ["detailed"]),
    ("textured", ["texture"]), ("texturing", ["texture"]), ("knitted and knitting", ["knit"]), ("patterned", ["pattern"]),
    ("a leafy branch", ["leaves"]), ("leaf", ["leaves"]), ("a crowded square", ["crowd"]), ("bricks", ["brick"]),
    ("feathers", ["feathers"]), ("engraved", ["engraving"]), ("a cobblestone road", ["stone"]), ("grasses", ["grass"]),
    ("long-haired", ["hair"]), ("long hairs", ["hair"]),
])  # fmt: skip
def test_inflections_and_ways_of_writing_count(caption, found):
    assert list(find_keywords(caption, SELECT)) == found


@pytest.mark.parametrize("caption", [
    "the furniture is furious", "a chair", "in this context", "the dog is barking", "she is texting", "a necklace",
    "hairless", "a brickless wall", "stoned", "the skinny one", "a place to replace", "crowdfunding",
])  # fmt: skip
def test_only_whole_words_that_mean_it_count(caption):
    assert not find_keywords(caption, SELECT)


@pytest.mark.parametrize("caption", [
    "There is no fur.", "It is not detailed", "without any text", "It lacks texture", "a lack of detail", "It isn't detailed.",
    "no visible text or lettering", "no fur, hair or feathers", "no fur, hair, or feathers", "neither fur nor feathers",
    "free of any text", "a text-free wall", "devoid of fine texture", "hardly any detail", "little texture", "few details",
    "The details are lost", "details that cannot be seen", "The texture is barely visible", "no sign of text",
    "not in detail", "plastic instead of stone", "Without fur", "the texture is completely missing", "less detailed",
])  # fmt: skip
def test_what_is_denied_does_not_count(caption):
    assert not find_keywords(caption, SELECT)


@pytest.mark.parametrize("caption, found", [
    ("There is no text, but the fabric is detailed.", ["detailed", "fabric"]),
    ("There is no text. Fur is seen.", ["fur"]),
    ("There is no text, overall, the fabric is rough", ["fabric"]),
    ("not only detailed but also intricate", ["detailed", "intricate"]),
    ("no doubt the most detailed view", ["detailed"]),
    ("no one on the stone bridge", ["stone"]),
    ("no movement in the grass", ["grass"]),
    ("The camera does not move while it shows the lace", ["lace"]),
    ("no blur and detailed fur", ["detailed", "fur"]),
    ("no fur here; there, fur", ["fur"]),
    ("the little girl's hair", ["hair"]),
    ("a few details", ["detailed"]),
    ("not blurry, with sharp skin", ["skin"]),
])  # fmt: skip
def test_a_denial_reaches_no_further_than_it_is_meant(caption, found):
    assert list(find_keywords(caption, SELECT)) == found


@pytest.mark.parametrize("caption, word", [
    ("Detailed fur, slightly out of focus", "out of focus"), ("out-of-focus fur", "out of focus"),
    ("a close-up with blurred parts", "blurry"), ("a fur coat and a watermark", "watermark"), ("water marks", "watermark"),
    ("fur in a shallow depth of field", "shallow depth"), ("a very dark street", "dark"), ("a screen-recording", "screen recording"),
])  # fmt: skip
def test_a_negative_keyword_drops_the_clip(caption, word):
    dropped = outcome(caption)
    assert isinstance(dropped, Dropped)
    assert dropped.reason == f"negative keyword: {word}"
    assert dropped.detail in caption.lower()


@pytest.mark.parametrize("caption", [
    "Fur without blur.", "Detailed, not blurry at all.", "no watermark, blur or fog on the fur", "dark brown fur",
    "an animated talk in a crowd", "fur, free of haze",
])  # fmt: skip
def test_a_negative_keyword_that_is_denied_or_means_something_else_drops_nothing(caption):
    assert isinstance(outcome(caption), Clip)


def test_keywords_are_kept_in_the_order_of_the_list_and_counted():
    first = outcome("Fur in a close-up. No text. More fur in another close-up.")
    assert first.keywords == ("close-up", "fur")
    assert keyword_counts([first, outcome("Macro of fur")]) == {"close-up": 1, "fur": 2, "macro": 1}


def test_too_few_keywords():
    assert outcome("A car drives by.").reason == "too few keywords"
    one = outcome("Fur.", at_least=2)
    assert (one.reason, one.detail) == ("too few keywords", "fur; wanted 2")
    assert outcome("A car drives by.", at_least=0) == Clip("a", "a.mp4", caption="A car drives by.")


def test_own_words():
    assert outcome("Mosses on a car.", select=("moss",)).keywords == ("moss",)
    assert outcome("Rain on fur.", reject=("rain",)).reason == "negative keyword: rain"
    assert outcome("Blurred fur.", ignore=("blurry",)).keywords == ("fur",)
    assert outcome("Macro of fur.", ignore=("fur",)).keywords == ("macro",)
    assert outcome("A C++ book (detailed).", select=("c++",)).keywords == ("detailed", "c++")


@pytest.mark.parametrize("wrong", [
    {"version": "0"}, {"at_least": -1}, {"select": ("",)}, {"reject": (" - ",)}, {"ignore": ("moss",)},
])  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(InputError, match=f"--keywords.{next(iter(wrong)).replace('_', '-')}"):
        KeywordsConfig(**wrong)


def test_every_keyword_is_found_by_its_own_name():
    for words in (SELECT, REJECT):
        for word in words:
            assert word in find_keywords(f"this is {word} here", words) or word == "dark"


@pytest.mark.parametrize("word, forms", [
    ("knit", {"knit", "knits", "knitted", "knitting"}), ("lace", {"lace", "laces", "laced", "lacing"}),
    ("brush", {"brush", "brushes", "brushed", "brushing"}), ("city", {"city", "cities", "citied", "citying"}),
    ("pattern", {"pattern", "patterns", "patterned", "patterning"}), ("bark", {"bark", "barks"}),
])  # fmt: skip
def test_inflections(word, forms):
    assert inflections(word) == forms


@pytest.mark.parametrize("version", VERSIONS)
def test_the_prompt_for_captions_suggests_no_keyword(version):
    """Nor a word that begins as one does: a model repeats what it is asked about, and every caption would have it."""
    lists = VERSIONS[version]
    forms = [form for words in (lists.select, lists.reject) for standing in words.values() for form in standing]
    suggested = [form for form in forms if pattern_of((form,)).search(PROMPT.lower()) or f" {form}" in PROMPT.lower()]
    assert len(forms) > 40 and not suggested
