"""Degradations by name, or from a YAML file of ranges."""

from dataclasses import replace
from functools import lru_cache

from realis.core.config import parse
from realis.core.errors import InputError
from realis.degradation.config import (
    BlurConfig,
    DegradationConfig,
    EndConfig,
    JpegConfig,
    NoiseConfig,
    OrderConfig,
    ResizeConfig,
    VideoConfig,
)  # fmt: skip

NO_BLUR, NO_NOISE = BlurConfig(probability=0.0), NoiseConfig(probability=0.0)
NO_JPEG, NO_VIDEO = JpegConfig(probability=0.0), VideoConfig(probability=0.0)
KEEP = ResizeConfig(weights=(0.0, 0.0, 1.0, 0.0))
NOTHING = OrderConfig(NO_BLUR, KEEP, NO_NOISE, NO_JPEG, NO_VIDEO)


def _still(order: OrderConfig) -> OrderConfig:
    """Return ``order`` without video compression, constant along time, and with Real-ESRGAN's draw of beta."""
    blur = replace(order.blur, sigma_step=0, rotation_step=0, beta_gaussian_step=0, beta_plateau_step=0, cutoff_step=0)
    blur = replace(blur, beta_split=True)
    noise, jpeg = replace(order.noise, sigma_step=0, poisson_step=0), replace(order.jpeg, quality_step=0)
    return OrderConfig(blur, replace(order.resize, scale_step=0), noise, jpeg, NO_VIDEO)


FULL = DegradationConfig()
PRESETS: dict[str, DegradationConfig] = {
    "realbasicvsr": FULL,
    # Real-ESRGAN's, for images: constant along time; the second resize is relative to the size of the result; the
    # second JPEG takes the place of the video codec at the end.
    "real_esrgan": DegradationConfig(
        _still(FULL.first),
        replace(_still(FULL.second), resize=replace(FULL.second.resize, scale_step=0, of_target=True), jpeg=NO_JPEG),
        EndConfig(jpeg=JpegConfig(quality_step=0), video=NO_VIDEO, sinc=replace(FULL.end.sinc, cutoff_step=0)),
    ),
    # One order: a Gaussian blur, then noise and JPEG at the size of the result. What realis-tiny learns most from.
    "light": DegradationConfig(
        OrderConfig(
            BlurConfig(kernels=(1, 0, 0, 0, 0, 0, 0), size=(15, 15), sigma=(0.3, 2.5)),
            ResizeConfig(weights=(0, 0, 0, 1), filters=("area", "matlab_bicubic")),
            NoiseConfig(gaussian=1.0, sigma=(0.0, 15.0), grey=0.0),
            JpegConfig(quality=(45.0, 95.0)),
            NO_VIDEO,
        ),
        NOTHING,
        EndConfig(video=NO_VIDEO, sinc=NO_BLUR),
        clean=0.1,
    ),
    # Bicubic and blur downsampling of the papers on ideal degradation.
    "bi": DegradationConfig(clean=1.0),
    "bd": DegradationConfig(NOTHING, NOTHING, EndConfig(video=NO_VIDEO, filters=("gaussian",), sinc=NO_BLUR)),
}


@lru_cache  # called for every pair; and a file that changes during a run must not change its ranges
def load_degradation(name: str) -> DegradationConfig:
    """Return a preset by name, or the ranges in a YAML file, with RealBasicVSR's for those that it leaves out.

    Raises:
        InputError: there is no such preset, or the file cannot be used.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith((".yaml", ".yml")):
        raise InputError(f"degradation preset: got {name!r}, wanted {', '.join(PRESETS)} or a YAML file of ranges")
    try:
        return parse(DegradationConfig, [name], "degradation")
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
