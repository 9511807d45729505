"""VideoGigaGAN over whole frames: flow of the whole frames; features, then chunks of frames, tile by tile."""

from collections.abc import Iterator

import torch
from torch.nn.functional import pad

from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.comparators.videogigagan.propagation import Flows
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.optical_flow.neighbours import flows_to_neighbours
from realis.ops.pixels import check_finite
from realis.tiling.blend import Canvas
from realis.upscaler import Advance, Carry, Needs, Tiling

FLOW_SHARE = 0.2  # of the work, about


class VideoGigaGanUpscaler:
    """VideoGigaGAN with its weights; see :class:`realis.upscaler.Upscaler`.

    Args:
        generator: for inference, on the device where frames are computed.
        estimate_flow: between whole frames, on that device; ``None`` for a generator without propagation.
        chunk: frames that go through the GAN together.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
    """

    def __init__(self, generator: VideoGigaGan, estimate_flow: FlowEstimator | None, chunk: int, needs: Needs) -> None:
        self.generator, self.estimate_flow, self.chunk, self.needs = generator, estimate_flow, chunk, needs

    @torch.no_grad()
    def upscale(
        self,
        frames: torch.Tensor,
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: Iterator[torch.Tensor] | None,
        carry: Carry,
        prompt: str,
        advance: Advance,
    ) -> tuple[torch.Tensor, Carry]:
        """Enlarge a segment, as :meth:`realis.upscaler.Upscaler.upscale` says.

        ``carry`` has the frame before the segment, ``frame`` (3, h, w), and its features in the forward direction, ``features``
        (C, h, w). Chunks begin with the segment; the frames that it looks ahead to are a chunk of their own.
        """
        assert noise is not None
        generator, device, lr_tiles = self.generator, self.generator.device, tiles.in_cells(self.generator.scale)
        lr, field = extended(frames.to(device), lr_tiles), next(noise)[None, :, 0].to(device, generator.dtype)
        style = generator.mapping(field.flatten(1)[:, : generator.config.noise_dim])
        before = state = None
        if carry:
            before, state = (extended(carry[name].to(device)[None], lr_tiles) for name in ("frame", "features"))
        flows, share = None, 1 / len(tiles)
        if self.estimate_flow is not None:  # of whole frames, for a tile does not show where a large motion leads
            along = flows_to_neighbours(lr.split(1), self.estimate_flow, before, lambda: advance(FLOW_SHARE / len(lr)))
            flows, share = Flows(*(torch.stack(each, dim=2) for each in along)), (1 - FLOW_SHARE) / len(tiles)

        # The next segment begins before the frames that this one looked ahead to; a shorter one has no next
        count, segments = len(frames), self.needs.segments
        kept = segments.frames - segments.overlap
        goes_on = flows is not None and count == segments.frames
        enlarged = Canvas((count, 3, *size), tiles)
        carried = Canvas((generator.config.propagation_channels, *frames.shape[-2:]), lr_tiles)
        for tile, window in zip(tiles, lr_tiles, strict=True):
            clip, features = window.of(lr).transpose(0, 1)[None] * 2 - 1, None
            if generator.propagation is not None:
                assert flows is not None
                of_tile, of_state = Flows(*map(window.of, flows)), None if state is None else window.of(state)
                features, states = generator.propagation(clip.to(generator.dtype), of_tile, of_state)
                if goes_on:
                    carried.add(window, states[kept - 1][0])
            parts = []
            for chunk in chunks(count, self.chunk):
                of_chunk = None if features is None else features[:, :, chunk]
                part = generator.enlarge(clip[:, :, chunk], of_chunk, style, window.of(field))
                check_finite(part, f"the tile at row {tile.top}, column {tile.left}")
                parts.append(part[0].transpose(0, 1).cpu())
                advance(share * (chunk.stop - chunk.start) / count)
            enlarged.add(tile, torch.cat(parts))
        upscaled = enlarged.result().add_(1).div_(2).clamp_(0, 1)
        if not goes_on:
            return upscaled, {}
        return upscaled, {"frame": frames[kept - 1].clone(), "features": carried.result().to(generator.dtype)}


def extended(frames: torch.Tensor, tiles: Tiling) -> torch.Tensor:
    """Extend frames or features (F, C, h, w) to the canvas of ``tiles`` by repeating their border."""
    (height, width), (h, w) = tiles.size, frames.shape[-2:]
    return pad(frames, (0, width - w, 0, height - h), mode="replicate")


def chunks(frames: int, length: int) -> Iterator[slice]:
    """Yield the chunks of a segment, of ``length`` frames, the last shorter.

    >>> [(chunk.start, chunk.stop) for chunk in chunks(26, 10)]
    [(0, 10), (10, 20), (20, 26)]
    """
    yield from (slice(start, min(start + length, frames)) for start in range(0, frames, length))
