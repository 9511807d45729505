"""Weights that others published: only tensors are opened, and what is wrong with a file is one line."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from realis.core.errors import InputError
from realis.models.weights import load_strictly, read_weights
from realis.models.weights_file import check_weights_file

TENSORS = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


@pytest.mark.parametrize("content", [
    TENSORS, {"params": TENSORS}, {"params": {}, "params_ema": TENSORS}, {"state_dict": TENSORS, "meta": {"epoch": 3}},
])  # fmt: skip
def test_wrappers_are_taken_off(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    read = read_weights(tmp_path / "weights.pth", "--weights")
    assert read.keys() == TENSORS.keys() and all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_kind_of_a_file_is_told_by_its_content(tmp_path, legacy):
    save_file(TENSORS, tmp_path / "one.pth")
    torch.save(TENSORS, tmp_path / "other.safetensors", _use_new_zipfile_serialization=not legacy)
    for name in ("one.pth", "other.safetensors"):
        assert torch.equal(read_weights(tmp_path / name, "--weights")["weight"], TENSORS["weight"])


class Harmful:
    """What a pickle may hold: a call, made when it is opened."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("save", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content, 2))])
def test_pickled_code_is_not_run(tmp_path, save):
    save({"params": TENSORS, "extra": Harmful(tmp_path / "touched")}, tmp_path / "weights.pth")
    with pytest.raises(
        InputError, match=r"--weights .*weights.pth: holds code \(.*\) beside its tensors, which is not run"
    ):
        read_weights(tmp_path / "weights.pth", "--weights")
    assert not (tmp_path / "touched").exists()


def save_as(form, file):
    if form == "safetensors":
        save_file(TENSORS, file)
    else:
        torch.save({"params": TENSORS}, file, _use_new_zipfile_serialization=form == "torch")


def cut(form, length):
    def write(file):
        save_as(form, file)
        file.write_bytes(file.read_bytes()[:length])

    return write


def archive(name):
    def write(file):
        with zipfile.ZipFile(file, "w") as opened:
            opened.writestr(name, "content")

    return write


ENDS = [  # what is seen without torch
    (lambda file: None, "nothing there; wanted a file of weights"),
    (lambda file: file.mkdir(), "is a folder; wanted a file of weights"),
    (lambda file: file.touch(), "is empty; wanted safetensors or a checkpoint of torch; get it again"),
    (lambda file: file.write_text("<!DOCTYPE html>"), "is text, such as a web page; wanted safetensors"),
    (cut("torch", 700), "damaged, or no weights"),
    (cut("safetensors", 60), "damaged, or no weights"),
    (cut("safetensors", -4), "damaged, or no weights"),
    (archive("word/document.xml"), "damaged, or no weights"),
    (lambda file: torch.jit.script(nn.Linear(1, 1)).save(file), "is a TorchScript program; wanted safetensors"),
]
INSIDE = [
    (cut("legacy", 100), "damaged, or no weights"),
    (cut("legacy", -4), "damaged, or no weights"),
    (archive("archive/data.pkl"), "damaged, or no weights"),
    (lambda file: torch.save([1, 2], file), "got a list, wanted tensors by name"),
    (lambda file: torch.save({"model": TENSORS}, file), "a checkpoint of another form, wanted tensors by name"),
]


@pytest.mark.parametrize(("write", "message"), ENDS + INSIDE)
def test_what_cannot_be_read_is_said_in_a_line(tmp_path, write, message):
    write(tmp_path / "weights.pth")
    with pytest.raises(InputError, match=message) as error:
        read_weights(tmp_path / "weights.pth", "--weights")
    assert str(error.value).startswith(f"--weights {tmp_path}") and "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["safetensors", "torch", "legacy"])
def test_damage_anywhere_is_no_traceback(tmp_path, form):
    save_as(form, tmp_path / "good")
    content, unreadable = (tmp_path / "good").read_bytes(), 0
    for place in range(1, len(content), 7):
        flipped = content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        for damaged in (flipped, content[:place]):
            (tmp_path / "weights.pth").write_bytes(damaged)
            try:
                read_weights(tmp_path / "weights.pth", "--weights")
            except InputError:
                unreadable += 1
    assert unreadable > len(content) / 7  # as it is if it is cut


@pytest.mark.parametrize("write", [write for write, _ in ENDS])
def test_what_the_ends_of_a_file_tell_is_what_its_reader_says(tmp_path, write):
    write(tmp_path / "weights.pth")
    with pytest.raises(InputError) as seen:
        check_weights_file(tmp_path / "weights.pth", "--weights")
    with pytest.raises(InputError) as read:
        read_weights(tmp_path / "weights.pth", "--weights")
    assert str(seen.value) == str(read.value)


@pytest.mark.parametrize("form", ["safetensors", "torch", "legacy"])
def test_whole_files_pass_by_any_name(tmp_path, form):
    for name in ("weights.pth", "weights.safetensors", "weights"):
        save_as(form, tmp_path / name)
        assert check_weights_file(str(tmp_path / name), "--weights") == tmp_path / name


def test_a_flag_without_a_file_says_what_is_wanted():
    with pytest.raises(InputError, match="--weights: got nothing, wanted a file that is in the package x"):
        check_weights_file("", "--weights", "a file that is in the package x")


@pytest.mark.parametrize(("tensors", "message"), [
    ({"weight": TENSORS["weight"]}, r"1 missing \(such as bias\)"),
    (TENSORS | {"more": torch.ones(1)}, r"1 unknown \(such as more\)"),
    (TENSORS | {"bias": torch.zeros(3)}, r"1 of another shape \(such as bias\)"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused(tensors, message):
    with pytest.raises(InputError, match=f"--weights f: not the weights of this layer: {message}"):
        load_strictly(nn.Linear(3, 2), tensors, "layer", "--weights f")


def test_weights_that_fit_are_loaded():
    layer = nn.Linear(3, 2)
    load_strictly(layer, TENSORS, "layer", "--weights f")
    assert torch.equal(layer.weight, TENSORS["weight"])
