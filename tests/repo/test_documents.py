"""The documents: they name real files, and their commands parse and run as printed."""

import re
import shlex
from pathlib import Path

import pytest

from command_lines import PARSERS, ROOT


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks_of(language):
    for document in documents():
        yield from re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.S)


@pytest.mark.parametrize("document", documents(), ids=lambda f: f.name)
def test_documents_name_real_files(document):
    readme = document.read_text()
    rooms = "realis|train|infer|benchmarks|docs|tests|dataset_tools"
    quoted = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", readme, flags=re.S))  # also commands, and broken lines
    for path in (path for words in quoted for path in re.findall(rf"(?:^|\s)((?:{rooms})/[\w./*-]*)(?=\s|$)", words)):
        assert list(ROOT.glob(path.rstrip("/"))), f"{document.name} names {path}, which is not there"
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (document.parent / link).exists(), f"{document.name} links to {link}, which is not there"


def test_documents_name_real_tests():
    defined = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = {name for document in documents() for name in re.findall(r"`(test_\w+)`", document.read_text())}
    assert len(named) > 10 and named <= defined, named - defined


def commands_of(document):
    """Command lines in blocks of a document, and those in its sentences."""
    text = document.read_text()
    for block in re.findall(r"```bash\n(.*?)```", text, re.S):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`((?:python3?|accelerate|pip) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_commands_of_the_documents_run_as_printed(document):
    """From the root of the repository, after it was installed into .venv."""
    bare = [
        line for line in commands_of(document) if re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:python3?|accelerate|pip) ", line)
    ]
    assert not bare, f"{document.name}: begin these with .venv/bin/"


def test_commands_of_the_documents_parse():
    """Every command of README and docs is accepted by the parser of the program that it calls."""
    seen = 0
    for block in blocks_of("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            script = next(
                (w for w in words if w.endswith(".py") and w.startswith(("infer/", "train/", "dataset_tools/"))), None
            )
            if script:
                name = Path(script).stem
                words = [
                    w for w in words[words.index(script) + 1 :] if not (w.startswith("out/") and w.endswith(".yaml"))
                ]  # what a run wrote
                arguments = [str(ROOT / w) if w.endswith(".yaml") else w for w in words]
                PARSERS[name](arguments)
                seen += 1
    assert seen >= 4


def test_python_of_the_documents_runs(tmp_path, monkeypatch):
    from fractions import Fraction

    import numpy as np

    from realis.video.write import SegmentWriter

    monkeypatch.chdir(tmp_path)
    with SegmentWriter(tmp_path / "holiday.mp4", (24, 32), Fraction(25)) as sink:
        sink.write(0, (np.full((24, 32, 3), i * 20, np.uint8) for i in range(3)))
    blocks = list(blocks_of("python"))
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "document", "exec"), {})
    assert list(tmp_path.glob("out/*.mp4"))
