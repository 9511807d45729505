"""BasicVSR over whole frames: flow of the whole frames, features tile by tile, the forward state carried on."""

from collections.abc import Callable, Iterator

import torch

from realis.comparators.basicvsr.config import SCALE
from realis.comparators.basicvsr.network import BasicVsr
from realis.models.optical_flow.neighbours import flows_to_neighbours
from realis.tiling.blend import Canvas
from realis.upscaler import Carry, Needs, Tiling


class BasicVsrUpscaler:
    """BasicVSR with its weights; see :class:`realis.upscaler.Upscaler`.

    Args:
        network: on ``device``, for inference.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
        device: where frames are computed.
    """

    def __init__(self, network: BasicVsr, needs: Needs, device: str = "cpu") -> None:
        self.network, self.needs, self.device = network, needs, torch.device(device)

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
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """Enlarge a segment four times, as :meth:`realis.upscaler.Upscaler.upscale` says.

        ``carry`` has the frame before the segment, ``frame`` (3, h, w), and its features, ``features`` (C, h, w).
        """
        lr, network = frames.to(self.device), self.network
        lr_size, count = lr.shape[-2:], len(lr)
        before, state = None, lr.new_zeros(1, network.channels, *lr_size, dtype=network.dtype)
        if carry:
            before, state = (carry[name].to(self.device)[None] for name in ("frame", "features"))
        # Of whole frames, for a tile does not show where a large motion leads; it is half of the work
        flows = flows_to_neighbours(lr.split(1), network.spynet, before, lambda: advance(1 / (2 * count)))
        to_next, to_previous = map(torch.cat, flows)

        # The next segment begins before the frames that this one looked ahead to; a shorter one has no next
        segments = self.needs.segments
        last = segments.frames - segments.overlap - 1 if count == segments.frames else None
        lr_tiles = tiles.in_cells(SCALE)
        enlarged = [Canvas((3, *size), tiles) for _ in frames]
        carried = Canvas((network.channels, *lr_size), lr_tiles)
        share = 1 / (4 * count * len(tiles))
        for tile, window in zip(tiles, lr_tiles, strict=True):
            area = (..., slice(window.top, window.bottom), slice(window.left, window.right))
            steps = network(lr[area], to_next[area], to_previous[area], state[area], lambda: advance(share))
            for number, (frame, features) in enumerate(steps):
                enlarged[number].add(tile, frame[0])
                if number == last:
                    carried.add(window, features[0])
        upscaled = torch.empty(count, 3, *size)
        for number in reversed(range(count)):  # popped, so that no frame is kept twice for long
            upscaled[number] = enlarged.pop().result().clamp_(0, 1)
        if last is None:
            return upscaled, {}
        return upscaled, {"frame": frames[last].clone(), "features": carried.result().to(network.dtype)}
