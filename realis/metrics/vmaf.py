"""VMAF, by the ffmpeg program that the package ``imageio-ffmpeg`` carries, with the models that are built into it."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realis.core.errors import InputError, RunError, require

MODEL = "vmaf_v0.6.1"  # Netflix's default: 1080p, seen from three times the height of the picture
# Both videos as Y'CbCr of BT.709 with a quarter of the chroma, for which the model was trained
AS_VIDEO = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"


def vmaf(restored: Sequence[np.ndarray], truth: Sequence[np.ndarray], rate: int = 25) -> np.ndarray:
    """Return the VMAF of each frame, from 0 to 100 (Li et al., "Toward a practical perceptual video quality metric", 2016).

    Args:
        restored: F frames, (H, W, 3) uint8.
        truth: the same of the ground truth.
        rate: frames a second.

    Returns:
        (F,) float64.

    Raises:
        InputError: ``imageio-ffmpeg`` is not installed, or the videos have other sizes.
        RunError: ffmpeg failed.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise InputError("VMAF: got no imageio-ffmpeg, wanted it; pip install 'realis[metrics]'") from error
    shapes = [(len(video), *video[0].shape) for video in (restored, truth)]
    require(shapes[0] == shapes[1], "VMAF", f"{shapes[0]} beside {shapes[1]}", "as many frames of the same size")
    _, height, width, _ = shapes[0]
    with tempfile.TemporaryDirectory() as name:
        inputs: list[str] = []
        for file, video in ((Path(name) / "restored", restored), (Path(name) / "truth", truth)):
            with file.open("wb") as stream:
                stream.writelines(np.ascontiguousarray(image).data for image in video)
            inputs += [
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-s",
                f"{width}x{height}",
                "-r",
                str(rate),
                "-i",
                str(file),
            ]
        # ffmpeg reads its filters' options by colons and backslashes of its own, so the log has a name without any
        filters = (
            f"[0:v]{AS_VIDEO}[a];[1:v]{AS_VIDEO}[b];[a][b]libvmaf=model=version={MODEL}:log_fmt=json:log_path=log.json"
        )
        command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", *inputs, "-lavfi", filters, "-f", "null", "-"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"VMAF: ffmpeg failed: {done.stderr.strip().splitlines()[-1:]}")
        log = json.loads((Path(name) / "log.json").read_text())
    return np.array([frame["metrics"]["vmaf"] for frame in log["frames"]])
