"""What the command lines of the benchmarks share. Without torch, for worker processes import a benchmark too."""

import argparse


def parser_of(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser whose ``--help`` begins with the docstring of the benchmark."""
    return argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)


def count(text: str) -> int:
    """Read the value of a flag that says how many: 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1")
    return int(text)


def clip_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser with the size of one clip for a model, by default that of Wan2.1-T2V-1.3B."""
    parser = parser_of(docstring)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=count, default=30)
    parser.add_argument("--frames", type=count, default=49)
    parser.add_argument("--height", type=count, default=480)
    parser.add_argument("--width", type=count, default=832)
    parser.add_argument("--runs", type=count, default=5)
    return parser
