"""Videos of every kind made on the spot, the upscale command on them, and what is in the results."""

from fractions import Fraction

import av
import numpy as np

from realis.commands.__main__ import run_upscale
from realis.video.source import open_source

RATE = Fraction(24000, 1001)


def picture(number, height=48, width=64, white=255):
    """A frame that differs from all others, with smooth and sharp parts, brightest at the top left."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([1 - x, (0.5 + 0.5 * np.sin(9 * x + number / 2)), 1 - y], axis=2)
    image[height // 4 : height // 2, width // 4 + number % 8 : width // 2] *= 0.2
    return (image * white).round().astype(np.uint8 if white == 255 else np.uint16)


def make(path, images, codec="ffv1", form="bgr0", times=None, time_base=None, rate=RATE, tags=(2, 2, 2, 1), setup=None,
         extra=None):  # fmt: skip
    """Write a video; ``extra(container)`` adds other streams and returns a function that fills them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = form
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        context.time_base = time_base or 1 / rate
        if codec == "libx264":
            context.options = {"crf": "2"}
        if setup:
            setup(stream)
        fill = extra(container) if extra else lambda: None
        for i, image in enumerate(images):
            wide = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
            frame = av.VideoFrame.from_ndarray(image, format=wide[image.itemsize, image.shape[2]])
            frame.pts, frame.time_base = times[i] if times else i, context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        fill()
    return path


def upscale(source, output, *flags, target="1x"):
    run_upscale(["--input", str(source), "--output", str(output), "--target", target, "--method", "bicubic", *flags])
    return output


def contents(path):
    with open_source(path) as source:
        return list(source.frames())


def seconds(path):
    """Presentation times as the container holds them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * frame.time_base for frame in container.decode(stream)]


def sound(rate, track, frames=20):
    """Packets of an AAC track."""

    def add(container):
        stream = container.add_stream("aac", rate=rate)
        stream.metadata["language"] = ("eng", "fra")[track]

        def fill():
            for i in range(frames):
                wave = np.sin(np.arange(1024 * i, 1024 * (i + 1)) * 0.05 * (track + 1))
                frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = rate, 1024 * i
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        return fill

    return add


def pcm(times):
    """Adds a track of 40 ms of sound at each of ``times``, in milliseconds."""

    def add(container):
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")

        def fill():
            for i, time in enumerate(times):
                packet = av.Packet(np.full(1920, i, np.int16).tobytes())
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = time
                container.mux(packet)

        return fill

    return add


def packets(path, track):
    """Times from the first frame of the picture on, and contents, of a track's packets."""
    start = float(seconds(path)[0])
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        return [(float(p.pts * p.time_base) - start, bytes(p)) for p in container.demux(stream) if p.size]
