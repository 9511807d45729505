"""Tiles and segments for any size: everything covered, nothing changed by cutting and joining."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realis.tiling.blend import Canvas, span_weights, summed_weights
from realis.tiling.plan import cover, plan_tiles, shifted
from realis.upscaler import Needs, NoiseGrid, Segments, Tiling
from realis.upscaling.stream import Frame, cut_segments, pad_frames, segment_noise, upscale_stream

multiples = st.sampled_from([1, 2, 8, 16])


@st.composite
def covers(draw):
    multiple = draw(multiples)
    tile = draw(st.integers(1, 24)) * multiple
    overlap = draw(st.integers(0, tile // multiple - 1)) * multiple
    return draw(st.integers(1, 700)), tile, overlap, multiple, draw(st.booleans())


@given(covers())
def test_spans_cover_any_length(arguments):
    length, tile, overlap, multiple, exact = arguments
    spans = cover(*arguments)
    assert spans[0][0] == 0
    assert spans[-1][1] == -(-length // multiple) * multiple
    assert len({stop - start for start, stop in spans}) == 1
    assert spans[0][1] - spans[0][0] <= max(tile, multiple)
    assert len(spans) == 1 or not exact or spans[0][1] - spans[0][0] == tile
    least = -(-(spans[-1][1] - overlap) // (tile - overlap))  # spans that are needed, at the most that they can cover
    assert len(spans) == max(least, 1)
    for (start, stop), (next_start, next_stop) in zip(spans, spans[1:], strict=False):
        assert start < next_start and stop < next_stop
        assert stop - next_start >= overlap
    assert all(start % multiple == stop % multiple == 0 for start, stop in spans)


@settings(deadline=None)
@given(covers())
def test_weights_are_positive_everywhere_and_one_at_the_border(arguments):
    spans = cover(*arguments)
    weights = span_weights(spans)
    assert summed_weights(spans, weights).min() > 0
    assert weights[0][0] == weights[-1][-1] == 1
    assert all((w > 0).all() for w in weights)


@settings(deadline=None)
@given(covers())
def test_moved_tiles_cover_the_same_and_stand_between_the_others(arguments):
    spans, multiple = cover(*arguments), arguments[3]
    moved = shifted(Tiling(spans, [(0, multiple)]), multiple).rows
    assert (moved[0], moved[-1]) == (spans[0], spans[-1]) and len(moved) <= len(spans) + 1
    assert {stop - start for start, stop in moved} == {spans[0][1] - spans[0][0]}
    assert all(start % multiple == 0 for start, _ in moved)
    between = set(moved) - {spans[0], spans[-1]}
    gaps = list(zip(spans, spans[1:], strict=False))
    assert all(any(before[0] <= start < after[0] for before, after in gaps) for start, _ in between)


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)), tile=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    overlap=st.integers(0, 5), multiple=st.sampled_from([1, 2]), dtype=st.sampled_from([torch.float32, torch.float64]),
    lead=st.sampled_from([(), (16, 2), (1, 16, 3)]), exact=st.booleans(),
)  # fmt: skip
def test_a_canvas_gives_back_what_was_cut_whatever_its_shape_and_dtype(
    size, tile, overlap, multiple, dtype, lead, exact
):
    """Latents of 16 channels as well as pixels; tiles of latent cells are multiples of the patch size, 2."""
    tile = (tile[0] * multiple, tile[1] * multiple)
    least = min(overlap, *(side // multiple - 1 for side in tile)) * multiple
    tiles = plan_tiles(size, tile, least, multiple, exact=exact)
    whole = torch.randn(*lead, *tiles.size, dtype=dtype, generator=torch.Generator().manual_seed(size[0]))
    canvas = Canvas((*lead, *size), tiles, dtype=dtype)
    for part in tiles:
        canvas.add(part, part.of(whole))
    result = canvas.result()
    assert result.dtype == dtype
    torch.testing.assert_close(result, whole[..., : size[0], : size[1]])


@given(covers(), st.sampled_from([4, 8]))
def test_tiles_of_pixels_are_the_same_tiles_of_latent_cells(arguments, pixels):
    *lengths, exact = arguments
    cells = Tiling(cover(*lengths, exact=exact), [(0, 6)])
    tiles = Tiling(cover(*(n * pixels for n in lengths), exact=exact), [(0, 6 * pixels)])
    assert tiles.in_cells(pixels) == cells


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
        self.seen.append((next(noise).shape[1], len(frames)))
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
    """Noise has no shots, so that segments must go on across what looks like cuts."""
    video = torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(count)) / 255
    size = (height * factor, width * factor)
    method = Identity(segments)
    edge = tile * multiple
    tiles = plan_tiles(size, (edge, edge), min(overlap, tile - 1) * multiple, multiple)
    frames = (Frame(pixels, alpha=pixels[0].numpy(), time=3 * i, duration=i + 1) for i, pixels in enumerate(video))
    told = []
    parts = list(upscale_stream(method, frames, size, tiles, 0, told.append, across_cuts=True))
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


def cut_at(cuts, segments, start, stop):
    """The segments of frames ``start`` to ``stop`` - 1; a frame is a cut if it is in ``cuts`` and not the first."""
    return list(cut_segments(range(start, stop), segments, start, lambda n: n in cuts and n > start))


@given(st.integers(1, 60), segmentations(), st.sets(st.integers(1, 59)))
def test_every_frame_once_and_no_segment_goes_across_a_cut(count, segments, cuts):
    parts = cut_at(cuts, segments, 0, count)
    assert [last for *_, last in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part == list(range(start, start + len(part))) for start, part, *_ in parts)
    assert all(len(part) <= segments.frames and not cuts & set(part[1:]) for _, part, *_ in parts)
    assert {start + len(part) for start, part, cut, _ in parts if cut} == {n for n in cuts if n < count}
    shot = 0
    for (start, part, cut, _), (following, *_) in zip(parts, [*parts[1:], (count,)], strict=True):
        assert (start - shot) % segments.period == 0
        stop = start + len(part)
        if cut:
            shot = following
        assert following == stop - (0 if cut or stop == count else segments.overlap)


@given(st.integers(1, 60), segmentations(), st.sets(st.integers(1, 59)))
def test_what_is_left_is_cut_in_the_same_way_from_any_segment_on(count, segments, cuts):
    parts = cut_at(cuts, segments, 0, count)
    for number, (start, *_) in enumerate(parts):
        assert cut_at(cuts, segments, start, count) == parts[number:]


class Mean:
    """Returns for each frame the mean of its segment, of the noise, and of all segments before: whatever reaches it shows."""

    def __init__(self, segments):
        self.needs = Needs(segments, noise=NoiseGrid(channels=1, frames=segments.period, pixels=1))

    def upscale(self, frames, size, *, tiles, noise, carry, prompt, advance):
        seen = frames.mean(0) / 4 + next(noise).mean(1) / 64 + carry.get("seen", torch.zeros(3, 1, 1)) / 2
        return (frames / 4 + seen).clamp(0, 1), {"seen": seen}


@settings(max_examples=15, deadline=None)
@given(segments=segmentations(), lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_each_shot_is_upscaled_as_if_it_were_alone_and_from_any_segment_on(segments, lengths):
    generator = torch.Generator().manual_seed(0)
    stills = [torch.rand(3, 32, 32, generator=generator) for _ in lengths]
    video = [still + 0.05 * torch.rand(3, 32, 32, generator=generator) for still, n in zip(stills, lengths, strict=True)
             for _ in range(n)]  # fmt: skip
    tiles = plan_tiles((32, 32), (32, 32), 0, 1)

    def run(start, stop, carry=None):
        frames = map(Frame, video[start:stop])
        return list(upscale_stream(Mean(segments), frames, (32, 32), tiles, 0, lambda share: None, start, carry))

    parts = run(0, len(video))
    whole = torch.cat([part.frames for part in parts])
    ends = np.cumsum(lengths)
    assert [part.start + len(part.frames) for part in parts if part.cut or part.last] == ends.tolist()
    alone = [part.frames for end, n in zip(ends, lengths, strict=True) for part in run(end - n, end)]
    assert torch.equal(whole, torch.cat(alone))
    for part in parts[:-1]:
        stop = part.start + len(part.frames)
        assert torch.equal(torch.cat([again.frames for again in run(stop, len(video), part.carry)]), whole[stop:])


@given(st.integers(0, 50), st.integers(1, 3), st.integers(0, 2))
def test_segments_that_overlap_start_from_the_same_noise(start, n, shared):
    needs = Needs(Segments(4 * n + 1, 1, 4), noise=NoiseGrid(channels=2, frames=4, pixels=1))
    tiles = plan_tiles((3, 5), (3, 5), 0, 1)
    shared = min(shared, n)
    first, second = (next(segment_noise(needs, 3, at, 4 * n + 1, tiles)) for at in (start, start + 4 * (n - shared)))
    assert first.shape == (2, n + 1, 3, 5)
    assert torch.equal(first[:, n - shared :], second[:, : shared + 1])


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


@given(st.integers(1, 40), st.sampled_from([1, 4, 8]))
def test_padding_repeats_the_last_frame_and_is_shorter_than_a_period(count, period):
    padded = pad_frames(range(count), Segments(period * 2 + 1, 1, period).padded(count))
    assert padded[:count] == list(range(count))
    assert (len(padded) - 1) % period == 0 and len(padded) - count < period
    assert set(padded[count:]) <= {count - 1}
