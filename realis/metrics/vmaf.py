"""VMAF, by the ffmpeg program that the package ``imageio-ffmpeg`` carries, with the models that are built into it."""

import json
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from realis.core.errors import InputError, RunError, require
from realis.metrics.base import Moment
from realis.ops.pixels import planes_to_image, to_uint8

MODEL = "vmaf_v0.6.1"  # Netflix's default: 1080p, seen from three times the height of the picture
# Both videos as Y'CbCr of BT.709 with a quarter of the chroma, for which the model was trained
AS_VIDEO = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
# ffmpeg reads its filters' options by colons and backslashes of its own, so the files have names without any, in the
# folder where it runs
LOG, ERRORS = "log.json", "errors.txt"


class Vmaf:
    """The VMAF of each frame, from 0 to 100 (Li et al., "Toward a practical perceptual video quality metric", 2016).

    Frames are rounded to 8 bits and go to ffmpeg as they come, the restored one above the true one in one picture, for a
    program has one standard input only.

    Raises:
        InputError: ``imageio-ffmpeg`` is not installed.
    """

    def __init__(self) -> None:
        try:
            from imageio_ffmpeg import get_ffmpeg_exe
        except ImportError as error:
            raise InputError("VMAF: imageio-ffmpeg is not installed; pip install 'realis[metrics]'") from error
        self._program = get_ffmpeg_exe()
        self._folder = tempfile.TemporaryDirectory()
        self._shape: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, moment: Moment) -> None:
        """Send a frame to ffmpeg.

        Raises:
            InputError: it has another size than the first one, or than the true one.
            RunError: ffmpeg failed.
        """
        images = [planes_to_image(to_uint8(moment.frame(video)).cpu()) for video in ("restored", "truth")]
        if self._process is None:
            self._shape = images[0].shape
            self._process = self._start()
        for image in images:
            # ffmpeg cannot tell: it would cut the bytes into frames in other places
            require(image.shape == self._shape, "VMAF", f"a frame of {image.shape}", f"all of {self._shape}")
        assert self._process.stdin
        try:
            for image in images:
                self._process.stdin.write(image.data)
        except OSError as error:  # the pipe is broken
            raise self._failure() from error

    def _start(self) -> subprocess.Popen[bytes]:
        height, width, _ = self._shape
        # cut apart as RGB, so that no pixel of chroma belongs to both
        halves = (
            f"[{name}]crop={width}:{height}:0:{top},{AS_VIDEO}[{name}420]" for name, top in (("a", 0), ("b", height))
        )
        filters = (
            f"[0:v]split[a][b];{';'.join(halves)};[a420][b420]libvmaf=model=version={MODEL}:log_fmt=json:log_path={LOG}"
        )
        frames = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{2 * height}", "-i", "pipe:0"]
        command = [self._program, "-v", "error", "-nostdin", *frames, "-lavfi", filters, "-f", "null", "-"]
        folder = Path(self._folder.name)
        with (folder / ERRORS).open("wb") as errors:  # a pipe that nobody reads would fill up and stop ffmpeg
            return subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
            )

    def _failure(self) -> RunError:
        assert self._process
        code = self._process.wait()
        message = (Path(self._folder.name) / ERRORS).read_text(errors="replace")
        return RunError(f"VMAF: ffmpeg failed: {' '.join(message.split()) or f'exit code {code}'}")

    def values(self) -> np.ndarray:
        """End the measurement.

        Returns:
            (F,) float64.

        Raises:
            RunError: ffmpeg failed.
        """
        if self._process is None:
            return np.empty(0)
        assert self._process.stdin
        with suppress(OSError):  # the pipe is broken: its exit code says so
            self._process.stdin.close()
        if self._process.wait():
            raise self._failure()
        log = json.loads((Path(self._folder.name) / LOG).read_text())
        return np.array([frame["metrics"]["vmaf"] for frame in log["frames"]])

    def close(self) -> None:
        """End ffmpeg if it still runs, and remove its log."""
        if self._process and self._process.stdin:
            self._process.kill()
            with suppress(OSError):  # the pipe is broken
                self._process.stdin.close()
            self._process.wait()
        self._folder.cleanup()
