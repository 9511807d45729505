"""realis: an open RealisVSR. Real-world 4K video super-resolution with a frozen Wan2.1 video diffusion transformer."""

from pathlib import Path
from typing import Any


def upscale_video(path: str | Path, **options: Any) -> Path | None:
    """Upscale a video file; what ``realis upscale`` does, from Python.

    Args:
        path: the video.
        options: the command's flags, such as ``target="4k"``, ``output="big.mp4"``, ``model=...``, ``steps=4``
            (:class:`realis.upscaling.app.config.UpscaleConfig`), those of its method among them; flags with a dot are
            nested: ``method="basicvsr", basicvsr={"weights": "BasicVSR_REDS4.pth"}``.

    Returns:
        The file written; ``None`` with ``dry_run=True``.

    Raises:
        realis.core.errors.InputError: something given cannot be used; the message says what to do.
    """
    from realis.commands.upscale import upscale
    from realis.core.config import flags_of
    from realis.methods.flags import parse_upscale

    written = upscale(parse_upscale(flags_of({"input": [str(Path(path).absolute())], **options}), "upscale_video"))
    return written[0] if written else None
