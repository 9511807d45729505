"""VMAF by ffmpeg: beside a direct call, what it says of the truth and of blur, and how it fails."""

import json
import subprocess
import sys
from contextlib import closing

import cv2
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from footage import PICTURE
from realis.core.errors import InputError, RunError
from realis.metrics import vmaf
from realis.metrics.base import Moment, Tools
from realis.metrics.vmaf import Vmaf
from realis.ops.pixels import image_to_planes

TRUTH = [PICTURE[100 + 2 * i : 292 + 2 * i, 60 + 3 * i : 316 + 3 * i] for i in range(4)]


def moment(restored, truth):
    return Moment(image_to_planes(restored), image_to_planes(truth), None, Tools())


def measured(restored, truth=TRUTH):
    with closing(Vmaf()) as meter:
        for pair in zip(restored, truth, strict=True):
            meter.add(moment(*pair))
        return meter.values()


def blurred(sigma, images=TRUTH):
    return [cv2.GaussianBlur(image, (0, 0), sigma) for image in images]


@pytest.mark.parametrize("size", [(192, 256), (191, 255)], ids=["even", "odd"])
def test_values_are_those_of_a_direct_call_on_two_files(tmp_path, size):
    truth = [np.ascontiguousarray(image[: size[0], : size[1]]) for image in TRUTH]
    restored, inputs = blurred(1.5, truth), []
    for name, video in (("restored", restored), ("truth", truth)):
        (tmp_path / name).write_bytes(b"".join(image.tobytes() for image in video))
        inputs += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[1]}x{size[0]}", "-i", name]
    video = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    graph = f"[0]{video}[a];[1]{video}[b];[a][b]libvmaf=log_fmt=json:log_path=log"
    subprocess.run([get_ffmpeg_exe(), *inputs, "-lavfi", graph, "-f", "null", "-"], cwd=tmp_path, check=True)
    frames = json.loads((tmp_path / "log").read_text())["frames"]
    assert list(measured(restored, truth)) == [frame["metrics"]["vmaf"] for frame in frames]


def test_the_truth_is_best_and_more_blur_is_worse():
    means = [measured(blurred(sigma)).mean() for sigma in (0.01, 1, 3)]
    assert len(measured(TRUTH)) == 4 and measured(TRUTH).mean() == means[0] > 95
    assert means[0] > means[1] + 10 > means[2] + 20


def test_no_frames_have_no_values():
    assert measured([], []).shape == (0,)


def test_a_frame_of_another_size_is_refused():
    half = np.ascontiguousarray(TRUTH[0][::2])
    for frames in ((TRUTH[0], half), (half, TRUTH[0]), (half, half)):
        with closing(Vmaf()) as meter:
            meter.add(moment(TRUTH[0], TRUTH[0]))
            with pytest.raises(InputError, match=r"VMAF: got a frame of \(96, 256, 3\), wanted all of \(192, 256, 3\)"):
                meter.add(moment(*frames))


def test_what_ffmpeg_says_is_told_when_it_fails(monkeypatch):
    monkeypatch.setattr(vmaf, "MODEL", "vmaf_of_nobody")
    with closing(Vmaf()) as meter, pytest.raises(RunError, match=r"VMAF: ffmpeg failed: .*vmaf_of_nobody"):
        for _ in range(100):  # more than the pipe holds
            meter.add(moment(TRUTH[0], TRUTH[0]))
        meter.values()


@pytest.mark.parametrize("frames", [1, 100])
def test_an_ffmpeg_that_is_killed_is_told_and_nothing_hangs(frames):
    with closing(Vmaf()) as meter:
        meter.add(moment(TRUTH[0], TRUTH[0]))
        meter._process.kill()
        with pytest.raises(RunError, match="VMAF: ffmpeg failed: exit code -9"):
            for _ in range(frames):
                meter.add(moment(TRUTH[0], TRUTH[0]))
            meter.values()


def test_a_measurement_that_is_broken_off_leaves_no_process_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    meter = Vmaf()
    meter.add(moment(TRUTH[0], TRUTH[0]))
    assert list(tmp_path.iterdir()) and meter._process.poll() is None
    meter.close()
    assert not list(tmp_path.iterdir()) and meter._process.poll() is not None


def test_without_its_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'realis\[metrics\]'"):
        Vmaf()
