"""BasicVSR by the command: a run that was stopped goes on from the features that its journal holds."""

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from reads import unread_fields
from realis.commands.__main__ import run_upscale
from realis.commands.upscale import upscale
from realis.comparators.basicvsr.config import BasicVsrConfig
from realis.comparators.basicvsr.upscaler import BasicVsrUpscaler
from realis.methods.flags import parse_upscale
from realis.ops.pixels import planes_to_image, to_uint8
from small_basicvsr import moving_clip, small_weights


def test_a_stopped_run_goes_on_to_the_same_frames(tmp_path, monkeypatch, capsys):
    """Of twice the size, in tiles, by the dtype that is the default."""
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(moving_clip(10, 20, 24)):
        Image.fromarray(planes_to_image(to_uint8(frame))).save(tmp_path / "in" / f"{number}.png")
    save_file(small_weights(), tmp_path / "small.pth")
    words = ["--input", str(tmp_path / "in"), "--target", "2x", "--method", "basicvsr", "--device", "cpu"]
    flags = {
        "weights": tmp_path / "small.pth",
        "segment-frames": 4,
        "segment-overlap": 1,
        "tile-width": 64,
        "tile-overlap": 32,
    }
    words += [word for name, value in flags.items() for word in (f"--basicvsr.{name}", str(value))]
    config = parse_upscale([*words, "--output", str(tmp_path / "whole")])  # the parser reads all fields
    with unread_fields(BasicVsrConfig) as unread:
        upscale(config)
    assert unread == set()

    upscale_segment, calls = BasicVsrUpscaler.upscale, []

    def stop_at_the_third(self, *arguments, **named):
        calls.append(named["carry"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upscale_segment(self, *arguments, **named)

    monkeypatch.setattr(BasicVsrUpscaler, "upscale", stop_at_the_third)
    with pytest.raises(SystemExit) as stopped:
        run_upscale([*words, "--output", str(tmp_path / "out")])
    assert stopped.value.code == 130 and not (tmp_path / "out").exists()
    run_upscale([*words, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "basicvsr makes 96x80, which is resized; 3 segments of up to 4 frames, each in 2 tiles of 64x80" in said
    assert "going on from frame 6 of 10 of an earlier run" in said and len(calls) == 4
    for number in range(10):
        got, wanted = (np.asarray(Image.open(tmp_path / name / f"{number}.png")) for name in ("out", "whole"))
        assert got.shape == (40, 48, 3) and np.array_equal(got, wanted)
