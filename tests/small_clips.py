"""Small moving clips, and ``upscale`` by bicubic interpolation, for tests."""

from fractions import Fraction

import numpy as np

from realis.commands.__main__ import run_upscale
from realis.video.encoding import Encoding
from realis.video.source import open_source
from realis.video.write import SegmentWriter


def clip(path, count=9, seed=0):
    texture = np.kron(np.random.default_rng(seed).integers(0, 256, (15, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    with SegmentWriter(path, (30, 44), Fraction(25), Encoding(crf=5)) as sink:
        sink.write(0, (np.ascontiguousarray(texture[i : i + 30, i : i + 44]) for i in range(count)))
    return path


def three_clips(folder):
    """Make ``folder`` with ``a.mp4``, ``b 2.mp4`` and ``b 10.mp4``."""
    folder.mkdir()
    for i, name in enumerate(("b 2", "b 10", "a")):
        clip(folder / f"{name}.mp4", seed=i)
    return folder


def images(path):
    with open_source(path) as source:
        return [frame.rgb for frame in source.frames()]


def run(*arguments):
    run_upscale([*map(str, arguments), "--target", "2x", "--method", "bicubic"])
