"""realis: an open RealisVSR. Real-world 4K video super-resolution with a frozen Wan2.1 video diffusion transformer."""

import os
from pathlib import Path
from typing import Any

from realis import torchvision_hook

torchvision_hook.install()
# Threads of OpenMP sleep while they wait for each other, instead of spinning: beside other programs, or more threads than
# cores, spinning takes several times as long. Read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251 - how threads wait, never the maths


def upscale_video(path: str | Path, **options: Any) -> Path | None:
    """Upscale a video file; what ``realis upscale`` does, from Python.

    Args:
        path: the video.
        options: the command's flags, such as ``target="4k"``, ``output="big.mp4"``, ``model=...``, ``steps=4``
            (:class:`realis.commands.upscale.UpscaleConfig`).

    Returns:
        The file written; ``None`` with ``dry_run=True``.

    Raises:
        realis.errors.InputError: something given cannot be used; the message says what to do.
    """
    from realis.commands.upscale import UpscaleConfig, upscale

    written = upscale(UpscaleConfig(input=(str(path),), **options))
    return written[0] if written else None
