"""``realis methods``: the list, the document, and files of weights that are recognised."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from realis.commands.__main__ import run_methods
from realis.methods.registry import METHODS, find_method
from realis.upscaler import WeightsFile
from realis.upscaling import interpolation

DOCUMENT = Path(__file__).parents[2] / "docs" / "methods.md"


def test_every_method_is_listed_and_the_document_is_what_is_printed(capsys):
    run_methods([])
    said = capsys.readouterr().out
    for name in METHODS:
        card = find_method(name).card
        assert f"{name}: {card.summary}\n" in said and f"--method {name}" in card.use
    run_methods(["--markdown"])
    assert capsys.readouterr().out == DOCUMENT.read_text(), "made by: realis methods --markdown > docs/methods.md"


def test_a_file_is_recognised_by_its_content(tmp_path, monkeypatch, capsys):
    file = tmp_path / "renamed.bin"
    file.write_bytes(b"weights")
    published = WeightsFile("published.pth", "photographs", "a package", "MIT", hashlib.sha256(b"weights").hexdigest())
    bicubic = interpolation.BICUBIC
    monkeypatch.setattr(interpolation, "BICUBIC", replace(bicubic, card=replace(bicubic.card, weights=(published,))))
    run_methods(["--verify", str(file)])
    assert "renamed.bin is published.pth, for --method bicubic: photographs; licence MIT" in capsys.readouterr().out
    file.write_bytes(b"weight5")
    for wrong, said in ((file, "may be used all the same"), (tmp_path / "nowhere", "cannot be read")):
        with pytest.raises(SystemExit) as stop:
            run_methods(["--verify", str(wrong)])
        assert stop.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_checksums_are_whole():
    for name in METHODS:
        digests = [weights.sha256 for weights in find_method(name).card.weights if weights.sha256]
        assert len(set(digests)) == len(digests) and all(len(bytes.fromhex(digest)) == 32 for digest in digests)
