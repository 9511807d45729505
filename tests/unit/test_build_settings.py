"""A build goes on with the settings that it was begun with; others are refused, or what they concern is forgotten."""

import pytest
import yaml

from realis.builder.settings import Settings, check_build_folder
from realis.core.errors import InputError

STAGES = ("probe", "captions", "publish")
GIVEN = {"source": ["a"], "workers": 1, "anew": False, "probe": {"lines": 2160}, "captions": {"prompt": "what?", "batch": 4},
         "publish": {"title": "Set"}}  # fmt: skip


def with_setting(section, name, value):
    return GIVEN | {section: GIVEN[section] | {name: value}}


def noted(folder):
    return yaml.safe_load((folder / "build.yaml").read_text())


def begun(folder, *stages):
    settings = Settings(GIVEN, STAGES, folder, anew=False)
    for stage in stages:
        settings.begin(stage)
    return noted(folder)


def test_a_stage_adds_its_settings_when_it_begins(tmp_path):
    assert begun(tmp_path) == {"source": ["a"], "workers": 1}
    assert begun(tmp_path, "probe").keys() == {"source", "workers", "probe"}
    Settings(with_setting("captions", "prompt", "which?"), STAGES, tmp_path, anew=False).begin("captions")
    assert noted(tmp_path)["captions"]["prompt"] == "which?"
    with pytest.raises(InputError, match=r"--captions.prompt was 'which\?', is 'what\?'; .*--anew"):
        Settings(GIVEN, STAGES, tmp_path, anew=False)


def test_what_does_not_decide_what_is_built_is_free(tmp_path):
    before = begun(tmp_path, *STAGES)
    Settings(with_setting("captions", "batch", 1) | {"workers": 9}, STAGES, tmp_path, anew=False)
    assert noted(tmp_path) == before


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (with_setting("captions", "prompt", "which?"), {"probe.jsonl", "publish.jsonl", "Set-4K"}),
        (with_setting("publish", "title", "Other"), {"probe.jsonl", "captions.jsonl", "Set-4K"}),
        (GIVEN | {"source": ["a", "b"]}, {"probe.jsonl", "captions.jsonl", "publish.jsonl", "Set-4K"}),
    ],
    ids=["captions", "publish", "source"],
)
def test_anew_forgets_what_other_settings_concern(tmp_path, given, left):
    begun(tmp_path, *STAGES)
    (tmp_path / "work").mkdir()
    for stage in STAGES:
        (tmp_path / "work" / f"{stage}.jsonl").touch()
    (tmp_path / "Set-4K").mkdir()
    with pytest.raises(InputError, match="was begun with other settings"):
        Settings(given, STAGES, tmp_path, anew=False)
    Settings(given, STAGES, tmp_path, anew=True)
    there = {file.name for folder in (tmp_path, tmp_path / "work") for file in folder.iterdir()}
    assert there == {"build.yaml", "work", *left}
    Settings(given, STAGES, tmp_path, anew=False)


@pytest.mark.parametrize("text", ["- a list", "[" * 5000, "1: 2", "{source: 5}", "5", "", "a: &a [x]\nb: *a"])
def test_a_file_that_cannot_be_read_is_said(tmp_path, text):
    (tmp_path / "build.yaml").write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        Settings(GIVEN, STAGES, tmp_path, anew=False)


def test_a_folder_of_other_things_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"with thesis\.tex in it"):
        check_build_folder(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_as_long_as_only_probe_has_begun_other_settings_are_taken(tmp_path):
    begun(tmp_path, "probe")
    Settings(GIVEN | {"source": ["b"]}, STAGES, tmp_path, anew=False)
    assert noted(tmp_path)["source"] == ["b"]


@pytest.mark.parametrize("spelled", ["a/", "./a", ".//a/."])
def test_a_source_spelled_otherwise_is_the_same(tmp_path, spelled):
    begun(tmp_path, *STAGES)
    Settings(GIVEN | {"source": [spelled]}, STAGES, tmp_path, anew=False)
    with pytest.raises(InputError, match=r"--source was \['a'\], is \['a/b'\]"):
        Settings(GIVEN | {"source": [f"{spelled}/b"]}, STAGES, tmp_path, anew=False)


@pytest.mark.parametrize(
    ("changed", "left"),
    [({"samples": 9}, set()), ({"min_motion": 0.1}, {"scores"}), ({"samples": 9, "min_motion": 0.1}, set())],
)
def test_what_was_measured_is_kept_where_only_its_limits_change(tmp_path, changed, left):
    given = GIVEN | {"quality": {"samples": 5, "min_motion": 0.0}}
    settings = Settings(given, ("probe", "quality"), tmp_path, anew=False)
    settings.begin("quality")
    (tmp_path / "work").mkdir()
    for ledger in ("scores", "quality"):
        (tmp_path / "work" / f"{ledger}.jsonl").touch()
    Settings(given | {"quality": given["quality"] | changed}, ("probe", "quality"), tmp_path, anew=True)
    assert {file.stem for file in (tmp_path / "work").iterdir()} == left
