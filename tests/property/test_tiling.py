"""Tiles and segments for any size: everything covered, nothing changed by cutting and joining."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realis.tiling.blend import Canvas, span_weights, summed_weights
from realis.tiling.plan import cover, plan_tiles
from realis.upscaler import Needs, NoiseGrid, Segments, Tiling
from realis.upscaling.stream import Frame, cut_segments, pad_frames, upscale_stream

multiples = st.sampled_from([1, 2, 8, 16])


@st.composite
def covers(draw):
    multiple = draw(multiples)
    tile = draw(st.integers(1, 24)) * multiple
    overlap = draw(st.integers(0, tile // multiple - 1)) * multiple
    return draw(st.integers(1, 700)), tile, overlap, multiple


@given(covers())
def test_spans_cover_any_length(arguments):
    length, tile, overlap, multiple = arguments
    spans = cover(*arguments)
    assert spans[0][0] == 0
    assert spans[-1][1] == -(-length // multiple) * multiple
    assert len({stop - start for start, stop in spans}) == 1
    assert spans[0][1] - spans[0][0] <= max(tile, multiple)
    for (start, stop), (next_start, next_stop) in zip(spans, spans[1:], strict=False):
        assert start < next_start and stop < next_stop
        assert stop - next_start >= overlap
    assert all(start % multiple == stop % multiple == 0 for start, stop in spans)


@given(covers())
def test_weights_are_positive_everywhere_and_one_at_the_border(arguments):
    spans = cover(*arguments)
    weights = span_weights(spans)
    assert summed_weights(spans, weights).min() > 0
    assert weights[0][0] == 1 or (len(spans) > 1 and spans[1][0] == 0)
    assert all((w > 0).all() for w in weights)


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)), tile=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    overlap=st.integers(0, 5), multiple=st.sampled_from([1, 2]), dtype=st.sampled_from([torch.float32, torch.float64]),
    lead=st.sampled_from([(), (16, 2), (1, 16, 3)]),
)  # fmt: skip
def test_a_canvas_gives_back_what_was_cut_whatever_its_shape_and_dtype(size, tile, overlap, multiple, dtype, lead):
    """Latents of 16 channels as well as pixels; tiles of latent cells are multiples of the patch size, 2."""
    tile = (tile[0] * multiple, tile[1] * multiple)
    tiles = plan_tiles(size, tile, min(overlap, *(side // multiple - 1 for side in tile)) * multiple, multiple)
    whole = torch.randn(*lead, *tiles.size, dtype=dtype, generator=torch.Generator().manual_seed(size[0]))
    canvas = Canvas((*lead, *size), tiles, dtype=dtype)
    for part in tiles:
        canvas.add(part, whole[..., part.top : part.bottom, part.left : part.right])
    result = canvas.result()
    assert result.dtype == dtype
    torch.testing.assert_close(result, whole[..., : size[0], : size[1]])


@given(covers(), st.sampled_from([4, 8]))
def test_tiles_of_pixels_are_the_same_tiles_of_latent_cells(arguments, pixels):
    cells = Tiling(cover(*arguments), [(0, 6)])
    tiles = Tiling(cover(*(n * pixels for n in arguments)), [(0, 6 * pixels)])
    assert [tile.in_cells(pixels) for tile in tiles] == list(cells)


def test_the_weights_live_where_the_canvas_does():
    """On a device without memory every operation would fail whose operands lived elsewhere."""
    tiles = plan_tiles((6, 10), (4, 4), 2, 2)
    canvas = Canvas((1, 16, 2, 6, 10), tiles, device="meta", dtype=torch.bfloat16)
    for tile in tiles:
        canvas.add(tile, torch.zeros(1, 16, 2, tile.bottom - tile.top, tile.right - tile.left))
    result = canvas.result()
    assert result.device.type == "meta" and result.dtype == torch.bfloat16 and result.shape == (1, 16, 2, 6, 10)


class Identity:
    """Returns its input, enlarged pixel by pixel, through the same tiles and canvas as a real method."""

    def __init__(self, segments):
        self.needs = Needs(segments, noise=NoiseGrid(channels=1, frames=segments.period, pixels=1))
        self.seen = []

    def upscale(self, frames, size, *, tiles, noise, carry, prompt, advance):
        factor = size[0] // frames.shape[2]
        whole = frames.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        beyond = (0, tiles.size[1] - size[1], 0, tiles.size[0] - size[0])
        whole = torch.nn.functional.pad(whole, beyond, mode="replicate")
        canvas = Canvas((len(frames), 3, *size), tiles)
        for tile in tiles:
            canvas.add(tile, whole[..., tile.top : tile.bottom, tile.left : tile.right])
            advance(1 / len(tiles))
        self.seen.append((noise.shape[1], len(frames)))
        return canvas.result(), {}


@st.composite
def segmentations(draw):
    period = draw(st.sampled_from([1, 4]))
    if period == 1:
        frames = draw(st.integers(1, 9))
        return Segments(frames, draw(st.integers(0, frames - 1)), blend=draw(st.booleans()))
    n = draw(st.integers(1, 3))
    return Segments(4 * n + 1, 4 * draw(st.integers(0, n - 1)) + 1, period=4)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 23), height=st.integers(2, 40), width=st.integers(2, 40), factor=st.sampled_from([1, 2, 3]),
    segments=segmentations(), tile=st.integers(1, 4), overlap=st.integers(0, 3), multiple=st.sampled_from([1, 8, 16]),
)  # fmt: skip
def test_identity_method_returns_its_input(count, height, width, factor, segments, tile, overlap, multiple):
    video = torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(count)) / 255
    size = (height * factor, width * factor)
    method = Identity(segments)
    edge = tile * multiple
    tiles = plan_tiles(size, (edge, edge), min(overlap, tile - 1) * multiple, multiple)
    frames = (Frame(pixels, alpha=pixels[0].numpy(), time=3 * i, duration=i + 1) for i, pixels in enumerate(video))
    told = []
    parts = list(upscale_stream(method, frames, size, tiles, 0, told.append))
    joined = torch.cat([part.frames for part in parts])
    wanted = video.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.equal((joined * 255).round().byte(), (wanted * 255).round().byte())
    passed = [frame for part in parts for frame in part.source]
    assert all(torch.equal(frame.pixels, own) for frame, own in zip(passed, video, strict=True))
    assert all(np.array_equal(frame.alpha, frame.pixels[0]) for frame in passed)
    assert [(frame.time, frame.duration) for frame in passed] == [(3 * i, i + 1) for i in range(count)]
    assert all(len(part.frames) == len(part.source) for part in parts)
    assert [part.start for part in parts] == [sum(len(p.frames) for p in parts[:i]) for i in range(len(parts))]
    assert abs(sum(told) - count) < 1e-3
    assert all(n % segments.period == 1 % segments.period for _, n in method.seen)


class WhiteAtBothEnds(Identity):
    """Spoils the first and the last frame of every segment."""

    def upscale(self, frames, size, **others):
        upscaled, carry = super().upscale(frames, size, **others)
        upscaled[[0, -1]] = 1
        return upscaled, carry


def test_the_ends_of_segments_do_not_count_where_they_are_shared():
    """But for those of the video."""
    video, size = torch.full((25, 3, 4, 6), 0.25), (4, 6)
    for overlap in (2, 5):
        tiles, segments = plan_tiles(size, size, 0, 1), Segments(9, overlap)
        parts = upscale_stream(WhiteAtBothEnds(segments), map(Frame, video), size, tiles, 0, lambda share: None)
        white = torch.cat([part.frames for part in parts]).amax(dim=(1, 2, 3)) > 0.26
        assert white.nonzero().flatten().tolist() == [0, 24]


@given(st.integers(1, 60), segmentations())
def test_every_frame_once_and_noise_in_step(count, segments):
    parts = list(cut_segments(range(count), segments, 0))
    assert [is_last for *_, is_last in parts] == [False] * (len(parts) - 1) + [True]
    assert all(start % segments.period == 0 for start, *_ in parts)
    assert all(part == list(range(start, start + len(part))) for start, part, _ in parts)
    assert parts[-1][0] + len(parts[-1][1]) == count


@given(st.integers(1, 40), st.sampled_from([1, 4, 8]))
def test_padding_repeats_the_last_frame_and_is_shorter_than_a_period(count, period):
    padded = pad_frames(range(count), Segments(period * 2 + 1, 1, period).padded(count))
    assert padded[:count] == list(range(count))
    assert (len(padded) - 1) % period == 0 and len(padded) - count < period
    assert set(padded[count:]) <= {count - 1}
