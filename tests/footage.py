"""Footage made on the spot: short videos, or folders of frames, of a pan over a photograph."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np

from realis.data.photographs import photograph

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


def interlaced_film(path, progressive=0, frames=36):
    """A pan in two fields a frame, 128x96, the lower field first, after so many progressive frames."""
    packets = []
    for count, x264 in ((progressive, "fake-interlaced=1"), (frames, "bff=1")):
        if not count:
            continue
        moments = [PICTURE[100:196, 3 * i : 3 * i + 128].copy() for i in range(2 * count)]
        part = path.with_suffix(f".{len(packets)}.h264")
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"x264-params": x264, "crf": "4", "bf": "0"})
            (stream.height, stream.width), stream.pix_fmt = (96, 128), "yuv420p"
            for upper, lower in zip(moments[1::2], moments[::2], strict=True):
                if x264 == "bff=1":
                    lower[::2] = upper[::2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(lower, format="rgb24")))
            container.mux(stream.encode(None))
        with av.open(str(part)) as container:
            packets += [bytes(packet) for packet in container.demux(video=0) if packet.size]
    with av.open(str(part)) as template, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(template.streams.video[0])
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, number in (0, progressive)
            container.mux(packet)
    return path


def dropping_film(path):
    """An AVI of frames 0 to 3 and 7 to 10: in place of the others are chunks of no bytes, which hold the frame before."""
    whole = film(path.with_suffix(".0.mkv"), 8, codec="mpeg4", options={"bf": "0"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        stream.time_base = Fraction(1, 25)
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base, packet.duration = stream, stream.time_base, 1
            packet.pts = packet.dts = number + 3 * (number >= 4)
            copy.mux(packet)
    return path


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 8 : -len(data) // 3] = bytes(len(data) - len(data) // 8 - len(data) // 3)
    path.write_bytes(data)
    return path


def manifest(folder, rows, name="clips.jsonl"):
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder / name)


def frames(folder, count=7, size=(64, 48), place=0, name="{:08d}.png"):
    """A folder of frames, a pan over a photograph."""
    folder.mkdir(parents=True)
    for i in range(count):
        top, left = 2 * i + place, 3 * i + place
        image = PICTURE[top : top + size[0], left : left + size[1]]
        (folder / name.format(i)).write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
    return folder
