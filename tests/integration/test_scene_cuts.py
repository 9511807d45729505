"""``upscale`` at a scene cut: no segment goes across, the log says so, and ``--across-cuts`` lets it."""

import json
from fractions import Fraction

import numpy as np
import pytest

from realis.commands.__main__ import run_upscale
from realis.video.encoding import Encoding
from realis.video.source import open_source
from realis.video.write import SegmentWriter

FLAGS = ["--target", "1x", "--codec", "ffv1", "--segment-frames", "5", "--segment-overlap", "1", "--color-fix", "adain"]


def shot(seed, frames):
    texture = np.kron(np.random.default_rng(seed).integers(0, 256, (15, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return [np.ascontiguousarray(texture[i : i + 32, i : i + 48]) for i in range(frames)]


def upscale(folder, frames, *flags):
    """Upscale frames; return those of the result, and the notes beside it."""
    folder.mkdir(exist_ok=True)
    with SegmentWriter(folder / "in.mkv", (32, 48), Fraction(25), Encoding("ffv1")) as sink:
        sink.write(0, iter(frames))
    run_upscale(["--input", str(folder / "in.mkv"), "--output", str(folder / "out.mkv"), *FLAGS, *flags])
    with open_source(folder / "out.mkv") as result:
        return np.stack([frame.rgb for frame in result.frames()]), json.loads((folder / "out.mkv.json").read_text())


def test_a_shot_does_not_depend_on_the_one_before(tmp_path, capfd, monkeypatch):
    one, two, three = shot(0, 7), shot(1, 7), shot(2, 3)
    whole, notes = upscale(tmp_path / "whole", one + three)
    assert "found 1 scene cut, and no segment goes across one" in capfd.readouterr().err
    across, other_notes = upscale(tmp_path / "across", one + three, "--across-cuts")
    assert "scene cut" not in capfd.readouterr().err
    assert len(across) == len(whole) == 10 and not np.array_equal(across, whole)
    assert not notes["made from"]["across_cuts"] and other_notes["made from"]["across_cuts"]

    # After another shot, in a run that is stopped at the cut and goes on
    write = SegmentWriter.write

    def stop_at_the_cut(sink, start, *rest):
        if start == 7:
            raise KeyboardInterrupt
        write(sink, start, *rest)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(SegmentWriter, "write", stop_at_the_cut)
        upscale(tmp_path / "before", two + three)
    before, _ = upscale(tmp_path / "before", two + three)
    assert "going on from frame 7" in capfd.readouterr().err
    assert np.array_equal(whole[7:], before[7:]) and not np.array_equal(whole[:7], before[:7])
