"""Low-resolution clips, made on the spot from the ground truth of a test set by pinned or drawn degradations."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from realis.core.config import as_plain
from realis.core.errors import InputError, require
from realis.core.files import fitting_name, whole_file
from realis.data.lr_sets.clips import draw_parameters
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Operation, Resize
from realis.degradation.presets import PRESETS, load_degradation
from realis.evaluation.footage import Footage, file_name
from realis.evaluation.test_sets import Clip, rate_of, write_images
from realis.video.finished import is_finished

# Gaussian blur (sigma, in pixels of the truth at x4), noise (standard deviation, of 255), quality of JPEG
STRENGTHS = {"mild": (0.8, 4, 85), "mid": (1.2, 6, 75), "strong": (2.3, 14, 48)}
PINNED = ("clean", *STRENGTHS)
NOISE_SEED = 7


def check_degradation(name: str) -> None:
    """Make sure that ``name`` is a degradation: pinned, a preset, or a YAML file of ranges.

    Raises:
        InputError: it is none.
    """
    if name not in PINNED and name not in PRESETS and not name.endswith((".yaml", ".yml")):
        wanted = f"one of {', '.join((*PINNED, *PRESETS))}, or a YAML file of ranges"
        raise InputError(f"--degradation: got {name!r}, wanted {wanted}")
    if name not in PINNED:
        load_degradation(name)


def pinned_parameters(name: str, frames: int, size: tuple[int, int], scale: int) -> DegradationParameters:
    """Return the degradation of the clips of one of :data:`PINNED`: blur, MATLAB's bicubic, noise, JPEG; of ``clean``,
    bicubic alone.

    Args:
        name: of the degradation.
        frames: of the clip.
        size: its height and width, multiples of ``scale``.
        scale: how much smaller the result is. The blur grows with it.
    """
    small = (size[0] // scale, size[1] // scale)
    operations: list[Operation] = [Resize("matlab_bicubic", (small,) * frames)]
    if name in STRENGTHS:
        sigma, noise, quality = STRENGTHS[name]
        sigma *= scale / 4
        side = max(15, 2 * math.ceil(3 * sigma) + 1)
        blur = Blur("iso", side, ((sigma, sigma),) * frames, (0.0,) * frames)
        noises = Noise("gaussian", (noise / 255,) * frames, False, NOISE_SEED)
        operations = [blur, *operations, noises, Jpeg((quality,) * frames)]
    return DegradationParameters(frames, size, small, False, tuple(operations))


def ranges_of(degradation: str) -> dict[str, Any]:
    """Return what a degradation does or is drawn from, as plain values."""
    if degradation not in PINNED:
        return json.loads(json.dumps(as_plain(load_degradation(degradation))))
    sigma, noise, quality = STRENGTHS.get(degradation, (0, 0, 100))
    return {"blur": sigma, "resize": "matlab_bicubic", "noise": noise, "noise seed": NOISE_SEED, "jpeg": quality}


def parameters_of(
    degradation: str, scale: int, seed: int, clip: str, frames: int, size: tuple[int, int]
) -> DegradationParameters:
    """Return the parameters of a degradation, pinned or drawn, for the clip of a name.

    Raises:
        InputError: the ranges cannot be drawn from for this size.
    """
    if degradation in PINNED:
        return pinned_parameters(degradation, frames, size, scale)
    return draw_parameters(degradation, scale, seed, clip, frames, size)


def make_lr(clip: Clip, degradation: str, scale: int, seed: int, folder: Path) -> Footage:
    """Make the low-resolution clip of ``clip``, with its parameters beside it; unless that was done before.

    Args:
        clip: with a truth.
        degradation: its name.
        scale: how much smaller it is.
        seed: of a drawn degradation, whose draw depends on it and on the clip's name alone.
        folder: where it is kept.

    Raises:
        InputError: the truth cannot be read, or is too small.
    """
    assert clip.truth is not None
    truth, size = clip.truth, clip.truth.size()
    require(
        min(size) >= 2 * scale, f"{truth.path}: size", f"{size[1]}x{size[0]}", f"at least {2 * scale} pixels a side"
    )
    file = folder / file_name(clip.name, ending=".mkv")
    key = {"degradation": degradation, "ranges": ranges_of(degradation), "scale": scale, "seed": seed, **truth.facts()}
    if is_finished(file, key):
        return Footage(file)
    count = sum(1 for _ in truth.read())
    parameters = parameters_of(degradation, scale, seed, clip.name, count, size)

    from realis.degradation.second_order import degrade_stream

    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file.with_name(fitting_name(file.name, ".degradation.json"))) as temporary:
        temporary.write_text(parameters.to_json())
    images = degrade_stream(_images(truth), parameters)
    write_images(file, key, parameters.target, images, rate_of(truth))
    return Footage(file)


def _images(footage: Footage) -> Iterator[np.ndarray]:
    from realis.ops.pixels import planes_to_image

    return map(planes_to_image, footage.read())
