"""A fingerprint changes with the content, wherever it changes, and not with the name."""

import pytest

from realis.video.fingerprint import BLOCK, BLOCKS, fingerprint


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK * BLOCKS, BLOCK * BLOCKS + 1])
def test_every_byte_of_small_files_counts(tmp_path, size):
    file, other = tmp_path / "a", tmp_path / "b"
    content = bytearray(size)
    file.write_bytes(content)
    other.write_bytes(content)
    assert fingerprint(file) == fingerprint(other)
    for place in {0, size // 3, size - 1} if 0 < size <= BLOCK * BLOCKS else set():
        changed = bytearray(content)
        changed[place] ^= 1
        other.write_bytes(changed)
        assert fingerprint(file) != fingerprint(other), place
    other.write_bytes(content + b"x")
    assert fingerprint(file) != fingerprint(other)


def test_first_and_last_bytes_of_large_files_count(tmp_path):
    file = tmp_path / "a"
    seen = set()
    for place in (None, 0, 2 * BLOCK * BLOCKS - 1):
        content = bytearray(2 * BLOCK * BLOCKS)
        if place is not None:
            content[place] = 1
        file.write_bytes(content)
        seen.add(fingerprint(file))
    assert len(seen) == 3


@pytest.mark.parametrize("place", [0.1, 0.4, 0.5, 0.8])
def test_a_change_in_the_middle_of_large_files_counts(tmp_path, place):
    """Wherever it is, if it is longer than the distance of the blocks: here 128 KiB."""
    file, size = tmp_path / "a", 2 * BLOCK * BLOCKS
    with file.open("wb") as content:
        content.truncate(size)
        before = fingerprint(file)
        content.seek(int(place * size))
        content.write(b"x" * 2 * BLOCK)
    assert fingerprint(file) != before


def test_names_and_contents_of_a_folder_count(tmp_path):
    (tmp_path / "a").write_text("1")
    before = fingerprint(tmp_path)
    (tmp_path / "a").write_text("2")
    changed = fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({before, changed, fingerprint(tmp_path)}) == 3
