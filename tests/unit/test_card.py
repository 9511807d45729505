"""The dataset card shows what lists and reviewers say as it is: none of it becomes Markdown, HTML or YAML."""

from collections import Counter
from dataclasses import replace

import pytest
import yaml

from realis.builder.card import CardFacts, plain, write_card
from realis.builder.clip import Clip
from realis.builder.publish import PublishConfig
from realis.builder.run_stage import Tally
from realis.core.errors import InputError

CLIP = Clip("film-000000", "film.mp4", "CC0", "https://a.org/my_film", frames=9, split="test")
STORY = CardFacts(
    "A: {set}", 64, [Tally("review", 2, 1, Counter({"drop: <b>|": 1}))], Counter(), "given", "Nobody.", "a: '```'\n"
)
EVIL = "CC0 |\n---\nlicense: mit\n---\n# Free <script>alert(1)</script> [x](http://evil) ![i](http://evil) `"


def test_what_is_said_of_clips_stays_in_its_cell(tmp_path):
    write_card([CLIP, replace(CLIP, licence=EVIL, origin="\\|" + EVIL)], STORY, [], tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "other" and values["pretty_name"] == "A: {set}"
    assert values["configs"][0]["data_files"] == [{"split": "test", "path": "test/*"}]
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert headings == ["# A: {set}", "## What was kept", "## Licences", "## Recipe"]
    assert "<" not in body and "](http" not in body.replace("\\](http", "")
    rows = [line for line in body.splitlines() if "alert" in line]
    assert len(rows) == 1 and rows[0].replace("\\\\", "").replace("\\|", "").count("|") == 4
    assert "| CC0 | https://a.org/my_film | 1 |" in body
    assert "````yaml\na: '```'\n````\n" in body


def test_plain_text_is_shown_as_it_is():
    assert plain("public domain or CC0, see skimage.data") == "public domain or CC0, see skimage.data"
    assert plain("_a_ b_c\n&amp;") == "\\_a\\_ b_c &amp;amp;"


def test_a_title_is_one_line():
    with pytest.raises(InputError, match=r"--publish\.title"):
        PublishConfig(title="x\nlicense: mit")
