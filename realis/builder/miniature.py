"""Render miniature footage from the photographs that scikit-image carries: good shots, and one of everything that a
stage should drop."""

import json
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch

from realis.core.files import whole_file
from realis.core.log import progress
from realis.data.photographs import CameraMove, film, photograph
from realis.ops.pixels import planes_to_image, to_uint8
from realis.ops.resize import resize
from realis.video.encoding import Encoding
from realis.video.write import SegmentWriter

SIZE, FRAMES, RATE = (216, 384), 52, Fraction(24)
ORIGIN, LICENCE = "scikit-image", "public domain or CC0, see skimage.data"
# Captions of the photographs; the keywords in them decide which are selected.
SHOTS = {
    "astronaut.png": "A woman in an orange space suit before a flag; a detailed portrait, fabric and hair are sharp.",
    "chelsea.png": "A close-up of a ginger cat; its fur and whiskers are finely detailed.",
    "brick.png": "A brick wall in black and white; the texture of bricks and joints fills the frame.",
    "grass.png": "Grass and small leaves seen from above, in black and white, with a dense texture.",
    "gravel.png": "A bed of gravel in black and white; every stone is sharp and detailed.",
    "coins.png": "A close-up of ancient coins with worn engraving and lettering.",
    "text.png": "Handwritten text on a sheet of paper, in black and white, seen at an angle.",
    "rocket.jpg": "A rocket lifts off from its launch pad in front of a wide sky.",
}
Frames = Iterator[torch.Tensor]


class Footage(NamedTuple):
    """A video to render: ``render`` makes its (3, H, W) frames in [0, 1] from the photographs of these names."""

    render: Callable[..., Frames]
    photographs: tuple[str, ...]
    caption: str


def write_miniature(folder: Path) -> None:
    """Render the footage and its list into ``folder``, unless all of it is there."""
    if all((folder / name).is_file() for name in ("metadata.jsonl", "damaged.mp4", "nobodys.mp4", *plan())):
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, footage in progress(plan().items(), total=len(plan()), unit="video"):
        write_video(folder / name, footage.render(*footage.photographs))
        rows.append({"file_name": name, "caption": footage.caption, "source": ORIGIN, "licence": LICENCE})
    (folder / "damaged.mp4").write_bytes(b"not a video at all")
    rows.append({"file_name": "damaged.mp4", "caption": "", "source": ORIGIN, "licence": LICENCE})
    write_video(folder / "nobodys.mp4", pan("camera.png"))
    rows.append(
        {"file_name": "nobodys.mp4", "caption": "A detailed photograph without a licence.", "source": "", "licence": ""}
    )
    with whole_file(folder / "metadata.jsonl") as list_of_all:
        list_of_all.write_text("".join(json.dumps(row) + "\n" for row in rows))


def plan() -> dict[str, Footage]:
    """Return the footage by file name. No photograph is in two videos that a build keeps: the split only recognises shared
    footage by frames that look the same, which a mirrored photograph does not."""
    good = {f"{Path(name).stem}.mp4": Footage(pan, (name,), caption) for name, caption in SHOTS.items()}
    cat, wall = SHOTS["chelsea.png"], SHOTS["brick.png"]
    return good | {
        "again.mp4": Footage(pan, ("chelsea.png",), cat),
        "two_shots.mp4": Footage(chain, ("coffee.png", "hubble_deep_field.jpg"), "A cup, detailed, and then galaxies."),
        "enlarged.mp4": Footage(enlarged, ("gravel.png",), wall),
        "black.mp4": Footage(black, (), "Darkness in detail."),
        "still.mp4": Footage(still, ("brick.png",), wall),
        "small.mp4": Footage(small, ("brick.png",), wall),
        "wide_view.mp4": Footage(pan, ("moon.png",), "The moon."),
    }


def pan(name: str, flip: bool = False) -> Frames:
    """Pan over a photograph, reduced a little so that every pixel is sharp."""
    image = photograph(name)
    height, width = image.shape[1:]
    zoom = min(1.3, 0.95 * width / SIZE[1], 0.95 * height / SIZE[0])
    room_y, room_x = (height - zoom * SIZE[0]) / 2, (width - zoom * SIZE[1]) / 2
    middle = (height / 2, width / 2)
    start = (middle[0] - 0.8 * room_y, middle[1] + 0.8 * room_x * (-1 if flip else 1))
    stop = (middle[0] + 0.8 * room_y, middle[1] - 0.8 * room_x * (-1 if flip else 1))
    yield from film(image, CameraMove(start, stop, zoom, zoom), FRAMES, SIZE)


def chain(*names: str) -> Frames:
    """Show photographs one after the other, as shots of one video."""
    for name in names:
        yield from pan(name)


def black() -> Frames:
    """Show black frames."""
    yield from (torch.zeros(3, *SIZE) for _ in range(FRAMES))


def small(name: str) -> Frames:
    """Pan at half the size."""
    yield from (resize(frame, (SIZE[0] // 2, SIZE[1] // 2)) for frame in pan(name))


def enlarged(name: str) -> Frames:
    """Pan at a third of the size, enlarged to the full size: fake 4K."""
    for frame in pan(name, flip=True):
        yield resize(resize(frame, (SIZE[0] // 3, SIZE[1] // 3)), SIZE).flip(1)


def still(name: str) -> Frames:
    """Repeat one frame."""
    first = next(pan(name, flip=True)).flip(1)
    yield from (first for _ in range(FRAMES))


def write_video(file: Path, frames: Iterable[torch.Tensor]) -> None:
    """Encode (3, H, W) frames in [0, 1]."""
    images = [planes_to_image(to_uint8(frame)) for frame in frames]
    size = (images[0].shape[0], images[0].shape[1])
    with SegmentWriter(file, size, RATE, Encoding(crf=8)) as sink:
        sink.write(0, images)
