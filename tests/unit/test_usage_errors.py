"""Wrong words on a command line: one plain line each, on every terminal; and words without a flag."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from realis.commands import __main__ as programs
from realis.commands.train_cpc import TrainCpcConfig
from realis.core.config import dump, parse
from realis.core.errors import InputError
from realis.methods.flags import make_config, parse_upscale

ROOT = Path(__file__).parents[2]
# by function of the program: a flag that takes one whole number, and one that takes one of several words
FLAGS = {
    "run_upscale": ("--seed", "--sampler"),
    "run_degrade": ("--seed", ""),
    "run_build": ("--workers", "--executor"),
    "run_train_cpc": ("--run.steps", "--loss.binning"),
    "run_precompute": ("--run.steps", "--loss.binning"),
    "run_train_tiny": ("--seed", ""),
}
REQUIRED = {"run_degrade": ["--ground-truth", "clips", "--output", "lr"]}


def wrong_words(number, choice, recipe):
    """Wrong words by what the message has to say of them."""
    words = {
        f"{number}x: no such flag; did you mean {number}": [f"{number}x", "3"],
        "--zzz: no such flag (": ["--zzz"],
        f"{number}: got 'many', wanted a whole number": [number, "many"],
        f"{number}: got too few values, wanted 1": [number],
        "nowhere.yaml: nothing there": ["nowhere.yaml"],
        "--tareget: no such flag": [recipe],
    }
    return words | ({f"{choice}: got 'magic', wanted one of '": [choice, "magic"]} if choice else {})


def in_terminal(code, columns, **environment):
    """What ``code`` prints in a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | environment
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=its, stdout=its, stderr=its, env=inherited | environment, cwd=ROOT
    )
    os.close(its)
    printed = b""
    with contextlib.suppress(OSError):  # EIO: it has ended
        while read := os.read(ours, 65536):
            printed += read
    os.close(ours)
    assert process.wait() == 0, printed
    return printed.decode()


@pytest.mark.parametrize(
    ("columns", "environment"), [(20, {"FORCE_COLOR": "1"}), (200, {"COLUMNS": "30", "NO_COLOR": "1"})]
)
def test_usage_errors_are_plain_lines_on_a_terminal(tmp_path, columns, environment):
    (tmp_path / "recipe.yaml").write_text("tareget: 4k\n")
    cases = [
        (program, said, words)
        for program, (number, choice) in FLAGS.items()
        for said, words in wrong_words(number, choice, str(tmp_path / "recipe.yaml")).items()
    ]
    cases += [
        (program, "got 'stray' without a flag; wanted one before it, such as --", ["stray"])
        for program in FLAGS
        if "upscale" not in program
    ]
    cases = [(program, said, [*words, *REQUIRED.get(program, [])]) for program, said, words in cases]
    cases += [("run_degrade", "--ground-truth: got nothing, wanted a value", [])]
    printed = in_terminal(
        f"from realis.commands import __main__ as programs\n"
        f"for program, words in {[(program, words) for program, _, words in cases]!r}:\n"
        f"    try:\n        getattr(programs, program)(words)\n"
        f"    except SystemExit as stop:\n        assert stop.code == 2\n"
        f"    else:\n        raise AssertionError(words)\n",
        columns,
        **environment,
    )
    lines = printed.splitlines()
    assert len(lines) == len(cases)
    for line, (_, said, _) in zip(lines, cases, strict=True):
        assert line.startswith("realis: ") and said in line
        assert line.isprintable() and line.isascii() and "  " not in line
        assert line.count("(see --help") == 1 and line.endswith(")")


def test_help_on_a_terminal():
    printed = in_terminal("from realis.commands.__main__ import run_upscale\ntry:\n    run_upscale(['--help'])\n"
                          "except SystemExit as stop:\n    assert not stop.code", columns=80, TERM="dumb")  # fmt: skip
    assert printed.startswith("usage: upscale.py [recipe.yaml] [INPUT ...] [-h] [OPTIONS]\r\n")
    assert "\r\n  upscale.py holiday.mp4 --target 4k\r\n" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize("program", FLAGS)
def test_help_names_the_flags_of_every_command(program, capsys):
    with pytest.raises(SystemExit) as stop:
        getattr(programs, program)(["--help"])
    printed = capsys.readouterr().out
    assert not stop.value.code
    assert all(flag in printed for flag in FLAGS[program])


@pytest.mark.parametrize(
    "program", [*FLAGS, "run_train_vae", "run_train_prior", "run_train_decoder", "run_degradation_sheets"]
)
def test_help_explains_every_flag(program, capsys):
    with pytest.raises(SystemExit):
        getattr(programs, program)(["--help"])
    printed = capsys.readouterr().out.replace("│", " ")
    unexplained = re.findall(r"^ *--\S+(?: \S+)*(?: *\n)? {2,}\((?:default|required)", printed, re.M)
    assert " (default: " in printed and not unexplained


def test_a_flag_of_a_part_is_found_by_its_last_name():
    with pytest.raises(InputError, match=r"--steps: no such flag; did you mean --controlnet.steps or --run.steps\?"):
        parse(TrainCpcConfig, ["--steps", "3"], "test")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--controlnet.window", "9", "64", "x"], r"^--controlnet.window: got \['9', '64', 'x'\], wanted numbers \("),
        (["--controlnet.window", "9", "64"], r"^--controlnet.window: got too few values, wanted 3 \("),
        (["--data.scales", "4", "x"], r"^--data.scales: got \['4', 'x'\], wanted numbers \("),
        (["--flow.shift", "x"], r"^--flow.shift: got 'x', wanted a number \("),
        (["--run.steps", "-4"], r"^--run.steps: got -4, wanted at least 1 \("),
        (["--flow.shift", "1e999"], r"^--flow.shift: got 1e999, wanted a finite number \("),
        (["--flow.mean=nan"], r"^--flow.mean: got nan, wanted a finite number \("),
        (["--optimizer.weight_decay", "-inf"], r"^--optimizer.weight-decay: got -inf, wanted a finite number \("),
        (["--data.scales", "4", "inf"], r"^--data.scales: got inf, wanted a finite number \("),
    ],
)
def test_values_that_a_flag_cannot_take(words, message):
    with pytest.raises(InputError, match=message):
        parse(TrainCpcConfig, words, "test")


@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        (["a.mp4", "--target", "2x"], ("a.mp4",)),
        (["--target", "2x", "a.mp4", "b.mp4"], ("a.mp4", "b.mp4")),
        (["a.mp4", "--preview", "b.mp4"], ("a.mp4", "b.mp4")),
        (["--input", "a.mp4", "b.mp4", "--target", "2x"], ("a.mp4", "b.mp4")),
        (["--input=a.mp4"], ("a.mp4",)),
        ([], ()),
    ],
)
def test_words_without_a_flag_are_inputs(words, inputs):
    assert parse_upscale(words).input == inputs


def test_words_take_the_place_of_the_inputs_of_a_recipe(tmp_path):
    recipe = tmp_path / "config.yaml"
    config = make_config(input=("old.mp4",), prompt="- a list", crf=-1, target="2x")
    dump(config, recipe)
    assert parse_upscale([str(recipe)]) == config
    assert parse_upscale([str(recipe), "a.mp4"]).input == ("a.mp4",)
    recipe.write_text("input: [old.mp4, older.mp4]")
    assert parse_upscale([str(recipe), "a.mp4"]).input == ("a.mp4",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "a.mp4", "--target", "2x", "b.mp4"], "got --input and, without a flag, 'b.mp4'; wanted one"),
        (["--target", "2x", "recipe.yaml"], "recipe recipe.yaml: got it after other words"),
        (["-x.mp4"], "-x.mp4: no such flag"),
        (["--no-strict=yes"], "--no-strict: got 'yes', wanted no value"),
    ],
)
def test_words_that_contradict_each_other(words, message):
    with pytest.raises(InputError, match=message):
        parse_upscale(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: [2x, 4x]", "got '4x' beside another value; wanted one"),
        ("preview: 1", "--preview: got '1', wanted no value"),
        ("target: [", "line 1: wanted YAML, but "),
        ("target: 2x\ntarget: 4x", "line 1: wanted YAML, but 'target' is there twice"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "line 1: wanted YAML, but with an anchor, an alias or a tag"),
        ("seed: !!bool x", "line 1: wanted YAML, but with an anchor, an alias or a tag"),
        ("target: " + "[" * 100_000, "nested too deeply"),
        ("target: 2026-13-45", "cannot be read as YAML"),
        ("seed: 0x" + "f" * 4000, "line 1: wanted YAML, but a number has more than 64 bits"),
        ('output: "a\\0b.mp4"', "got '--output=a.x00b.mp4', wanted no null byte in it"),
    ],
)
def test_recipes_that_cannot_be_taken(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        parse_upscale([str(tmp_path / "recipe.yaml")])
    assert "recipe.yaml" in str(refused.value)


@pytest.mark.parametrize("columns", [None, "30"])
def test_parsing_leaves_the_environment_as_it_was(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
    before = dict(os.environ)
    with pytest.raises(InputError):
        parse_upscale(["--seed", "many"])
    assert dict(os.environ) == before


def test_flags_with_underscores_are_the_same():
    words = ["--tile_height=64", "--tile_width", "64", "--drop_alpha"]
    assert parse_upscale(words) == make_config(tile_height=64, tile_width=64, drop_alpha=True)
