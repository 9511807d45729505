"""Benchmarks are run by hand, some of them seldom: that they can begin, and say how, is seen here."""

import argparse
import ast

import pytest

from benchmark_files import BENCHMARKS, load_benchmark

NAMES = sorted(file.stem for file in BENCHMARKS.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_what_it_imports_is_there(name):
    assert load_benchmark(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_says_how_it_is_run(name):
    tree = ast.parse((BENCHMARKS / f"{name}.py").read_text())
    if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
        assert f"benchmarks/{name}." in ast.get_docstring(tree)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_a_number_of_runs_is_1_or_more(text):
    command_line = load_benchmark("command_line")
    assert command_line.count("1") == 1
    with pytest.raises(argparse.ArgumentTypeError, match="wanted a whole number from 1"):
        command_line.count(text)
