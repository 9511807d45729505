"""Read the header of an image, and refuse images that cannot be decoded as they are meant to look."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image

from realis.core.errors import InputError

ORIENTATION = 274  # of EXIF
MIRRORED, TURNED = (2, 4, 5, 7), (5, 6, 7, 8)  # values of it


class ImageFacts(NamedTuple):
    """What the header of an image says.

    Args:
        size: height and width, upright.
        has_profile: whether it has a colour profile.
        has_alpha: whether it may be transparent.
        is_animated: whether it has more than one frame.
    """

    size: tuple[int, int]
    has_profile: bool
    has_alpha: bool
    is_animated: bool


def image_facts(file: Path) -> ImageFacts | None:
    """Read the header of an image; ``None`` where Pillow does not know it.

    Raises:
        InputError: it is to be shown mirrored, which is not supported; is a TIFF of several pages, of which libav
            decodes only the first, or an animated WebP, which it cannot decode; is larger than Pillow opens.
    """
    try:
        with Image.open(file) as image:
            orientation, profile = image.getexif().get(ORIENTATION, 1), image.info.get("icc_profile")
            count, form, (width, height) = getattr(image, "n_frames", 1), image.format, image.size
            has_alpha = image.has_transparency_data
    except Image.DecompressionBombError as error:
        raise InputError(f"{file}: is too large ({error}); cut it into parts") from error
    except (OSError, ValueError):
        return None  # libav may know it
    if count > 1 and form == "TIFF":
        raise InputError(f"{file}: has {count} pages; save each as an image of its own")
    if count > 1 and form == "WEBP":
        raise InputError(f"{file}: is an animated WebP, which is not read here; convert it to GIF, APNG or a video")
    if orientation in MIRRORED:
        raise InputError(f"{file}: is to be shown mirrored (EXIF orientation {orientation}); save it as it should look")
    size = (width, height) if orientation in TURNED else (height, width)
    return ImageFacts(size, bool(profile), has_alpha, count > 1)
