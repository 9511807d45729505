"""VMAF, by the ffmpeg program that the package ``imageio-ffmpeg`` carries, with the models that are built into it."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realis.core.errors import InputError, RunError, require

LEAST = 32  # pixels: its scales are halved four times
MODEL = "vmaf_v0.6.1"  # Netflix's default: 1080p, seen from three times the height of the picture
# Both videos as Y'CbCr of BT.709 with a quarter of the chroma, for which the model was trained
AS_VIDEO = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"


def vmaf(restored: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> np.ndarray:
    """Return the VMAF of each frame, from 0 to 100 (Li et al., "Toward a practical perceptual video quality metric", 2016).

    Args:
        restored: F frames, (H, W, 3) uint8.
        truth: the same of the ground truth.

    Returns:
        (F,) float64.

    Raises:
        InputError: ``imageio-ffmpeg`` is not installed; the videos have other sizes, or frames too small for the metric.
        RunError: ffmpeg failed.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise InputError("VMAF: imageio-ffmpeg is not installed; pip install 'realis[metrics]'") from error
    shapes = [[image.shape for image in video] for video in (restored, truth)]
    sizes = {shape for video in shapes for shape in video}
    same = len(shapes[0]) == len(shapes[1]) and len(sizes) == 1
    require(same, "VMAF", f"{len(restored)} and {len(truth)} frames of {sorted(sizes)}", "as many, of the same size")
    height, width, _ = sizes.pop()
    require(min(height, width) >= LEAST, "VMAF", f"{width}x{height} pixels", f"at least {LEAST}x{LEAST}")
    with tempfile.TemporaryDirectory() as name:
        inputs: list[str] = []
        for file, video in ((Path(name) / "restored", restored), (Path(name) / "truth", truth)):
            with file.open("wb") as stream:
                stream.writelines(np.ascontiguousarray(image).data for image in video)
            inputs += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", str(file)]
        # ffmpeg reads its filters' options by colons and backslashes of its own, so the log has a name without any
        filters = (
            f"[0:v]{AS_VIDEO}[a];[1:v]{AS_VIDEO}[b];[a][b]libvmaf=model=version={MODEL}:log_fmt=json:log_path=log.json"
        )
        command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", *inputs, "-lavfi", filters, "-f", "null", "-"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"VMAF: ffmpeg failed: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
        log = json.loads((Path(name) / "log.json").read_text())
    return np.array([frame["metrics"]["vmaf"] for frame in log["frames"]])
