"""Footage made on the spot: short videos of a pan over a photograph."""

import json
from fractions import Fraction

import av
import numpy as np

from realis.video.photographs import photograph

PICTURE = (photograph("astronaut.png").permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def film(path, frames=20, size=(128, 160), codec="libx264", fmt="yuv420p", options=None, times=None, place=0):
    """A pan over a photograph; ``times`` in milliseconds."""
    unit = Fraction(1, 1000) if times else Fraction(1, 25)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "8", "bf": "3"} | (options or {}))
        (stream.height, stream.width), stream.pix_fmt = size, fmt
        stream.codec_context.time_base = unit
        for i in range(frames):
            top, left = 2 * i + place, 3 * i + place
            image = np.ascontiguousarray(PICTURE[top : top + size[0], left : left + size[1]])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=fmt)
            frame.pts, frame.time_base = times[i] if times else i, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 8 : -len(data) // 3] = bytes(len(data) - len(data) // 8 - len(data) // 3)
    path.write_bytes(data)
    return path


def manifest(folder, rows, name="clips.jsonl"):
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder / name)
