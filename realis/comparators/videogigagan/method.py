"""VideoGigaGAN as a method: find and check its files, then load its network. Torch is imported only to load."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.comparators.videogigagan.card import CARD
from realis.comparators.videogigagan.config import VideoGigaGanConfig, flag
from realis.comparators.videogigagan.files import check_network, network_folder, scale_of
from realis.comparators.videogigagan.layout import CELL, all_noise_channels
from realis.core.errors import InputError, require
from realis.models.hub import VIDEOGIGAGAN_TINY
from realis.models.weights_file import check_weights_file
from realis.upscaler import Needs, NoiseGrid, Placement, Segments

if TYPE_CHECKING:
    from realis.comparators.videogigagan.upscaler import VideoGigaGanUpscaler

TINY_REMARK = (
    f"{VIDEOGIGAGAN_TINY} is tiny, trained on a few photographs so that the method runs everywhere: do not judge it by this; "
    f"{flag('model')} names another"
)


class VideoGigaGanMethod:
    """VideoGigaGAN as a :class:`realis.upscaler.Method`."""

    Config = VideoGigaGanConfig
    card = CARD

    def needs(self, config: VideoGigaGanConfig, prompted: bool) -> Needs:
        if prompted:
            raise InputError("--prompt, --prompt-file: --method videogigagan takes no text; leave it out")
        folder = network_folder(config.model, flag("model"))
        network = check_network(folder)
        scale = scale_of(network)
        multiple = CELL * scale
        for name in ("tile_height", "tile_width", "tile_overlap"):
            size = getattr(config, name)
            require(size % multiple == 0, flag(name), size, f"a multiple of {multiple} for {config.model}")
        weights = {"model": folder}
        frames, overlap = config.segment_frames, config.segment_overlap
        if network["propagation_channels"]:
            if config.flow_weights:
                weights["flow_weights"] = check_weights_file(config.flow_weights, flag("flow_weights"))
        else:
            wanted = f"nothing: {config.model} does not use optical flow"
            require(not config.flow_weights, flag("flow_weights"), config.flow_weights, wanted)
            frames, overlap = frames - overlap, 0  # there is nothing to look ahead for
        tiles = f"{flag('tile_height')}, {flag('tile_width')}"
        return Needs(
            Segments(
                frames, overlap, blend=False, independent=not (network["propagation_channels"] or network["temporal"])
            ),
            scales=(scale,),
            trained_scale=scale,
            tile=(config.tile_height, config.tile_width),
            tile_overlap=config.tile_overlap,
            multiple=multiple,
            noise=NoiseGrid(all_noise_channels(len(network["upsampling_widths"])), frames=0, pixels=scale),
            weights=weights,
            parts={folder: ["config.json", *(file.name for file in folder.glob("*.safetensors"))]},
            label="/".join(Path(config.model).parts[-2:]),
            less_memory=f"smaller tiles ({tiles}), fewer {flag('segment_frames')}",
            remarks=[TINY_REMARK] * (config.model == VIDEOGIGAGAN_TINY) + flow_remark(config, network),
        )

    def load(self, config: VideoGigaGanConfig, placement: Placement, prompts: Sequence[str]) -> "VideoGigaGanUpscaler":
        placement.refuse("offload", "fp8", "attention", "compile", method="videogigagan")
        needs = self.needs(config, any(prompts))

        import torch

        from realis.comparators.videogigagan.generator import VideoGigaGan
        from realis.comparators.videogigagan.upscaler import VideoGigaGanUpscaler
        from realis.models.optical_flow.loading import load_flow
        from realis.models.parts import load_part

        generator = load_part(VideoGigaGan, needs.weights["model"], getattr(torch, placement.dtype))
        estimate_flow = None
        if generator.propagation is not None:
            estimate_flow = load_flow(needs.weights.get("flow_weights"), flag("flow_weights"), placement.device)
        generator = generator.eval().requires_grad_(False).to(placement.device)
        return VideoGigaGanUpscaler(generator, estimate_flow, config.chunk_frames, needs)


METHOD = VideoGigaGanMethod()


def flow_remark(config: VideoGigaGanConfig, network: Mapping[str, Any]) -> list[str]:
    """Return advice on the optical flow, if it is not by the weights that the generator was trained with."""
    trained, given = network["flow_weights"], Path(config.flow_weights).name
    if not network["propagation_channels"] or trained == given:
        return []
    by = (
        f"the weights {trained}: {flag('flow_weights')} FILE"
        if trained
        else f"Farneback's method, without {flag('flow_weights')}"
    )
    return [f"{config.model} was trained with optical flow by {by}; results may be worse by another"]
