"""Metrics along time beside independent NumPy versions, on clips of known flow; what their masks leave out."""

import functools

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from realis.data.photographs import CameraMove, film, photograph
from realis.metrics.base import Moment, Tools
from realis.metrics.registry import METRICS, TEMPORAL
from realis.models.optical_flow.farneback import farneback
from realis.ops.resize import resize

SIZE = (48, 64)
NAMES = [metric.name for metric in TEMPORAL]


def panned(frames, x, y, name="astronaut.png"):
    """A photograph whose pixels move by (x, y) a frame."""
    move = CameraMove((200.0, 300.0), (200.0 - y * (frames - 1), 300.0 - x * (frames - 1)))
    return film(photograph(name), move, frames, SIZE)


def measure(name, restored, truth, tools):
    """Measure a clip with no more than what the metric says that it needs."""
    metric = METRICS[name]
    given = Tools(
        tools.flow if metric.flow else None, {network: tools.networks[network] for network in metric.networks}
    )
    meter, moment = metric.open(), None
    for i, frame in enumerate(restored):
        moment = Moment(frame, truth[i] if metric.reference else None, moment, given)
        meter.add(moment)
    values = meter.values()
    meter.close()
    return values


class KnownFlow:
    """Gives the flow of frames that it knows, and of those of half the contrast.

    Args:
        restored, truth: (F, 3, H, W).
        field: (video, from, to) -> (H, W, 2).
    """

    def __init__(self, restored, truth, field):
        self.field, self.calls = field, []
        videos = {"restored": restored, "truth": truth}
        videos |= {f"half {name}": (1 + video) / 2 for name, video in videos.items()}
        self.known = {
            frame.numpy().tobytes(): (name, t) for name, video in videos.items() for t, frame in enumerate(video)
        }

    def __call__(self, a, b):
        (video, t), (other, s) = (self.known[frame[0].numpy().tobytes()] for frame in (a, b))
        assert video == other
        self.calls.append((video, t, s))
        return torch.from_numpy(self.field(video, t, s)).permute(2, 0, 1)[None].float()


def fake_lpips(a, b):
    """Any function of two images, here one in which pixels and their order matter."""
    weights = torch.linspace(0.2, 1.7, a.shape[-1])
    return ((a - b).abs().sqrt() * weights).mean().view(1, 1, 1, 1)


# 1. The definitions once more, in NumPy


def np_warp(image, flow, mode, stablevsr=False):
    places = np.mgrid[: image.shape[0], : image.shape[1]] + np.moveaxis(flow, -1, 0)[::-1]
    if stablevsr:
        sides = np.array(image.shape[:2])[:, None, None]
        places = places * sides / (sides - 1) - 0.5
    return np.dstack([map_coordinates(channel, places, order=1, mode=mode) for channel in np.moveaxis(image, -1, 0)])


def np_occluded(flow, back):
    """By the flow back, brought to the frame, or at a motion boundary."""
    length = (flow**2).sum(-1)
    gradient = np.zeros(flow.shape[:2])
    gradient[:, :-1] += ((flow[:, 1:] - flow[:, :-1]) ** 2).sum(-1)
    gradient[:-1] += ((flow[1:] - flow[:-1]) ** 2).sum(-1)
    apart = ((flow + back) ** 2).sum(-1)
    return (apart > 0.01 * (length + (back**2).sum(-1)) + 0.5) | (gradient > 0.01 * length + 0.002)


def np_e_warp_lai(video, flow, t):
    there, back = flow("truth", t, t + 1), flow("truth", t + 1, t)
    seen = ~np_occluded(there, np_warp(back, there, "nearest"))
    return 1000 * ((np_warp(video["restored"][t + 1], there, "nearest") - video["restored"][t])[seen] ** 2).mean()


def np_warping_error_stablevsr(video, flow, t):
    there, back = flow("truth", t + 1, t), flow("truth", t, t + 1)
    seen = ~np_occluded(there, np_warp(back, there, "grid-constant", stablevsr=True))
    warped = np_warp(video["restored"][t], there, "grid-constant", stablevsr=True)
    return 1000 * ((warped - video["restored"][t + 1])[seen] ** 2).mean()


def np_by_restored_flow(shown, video, flow, t):
    there, back = flow("restored", t, t + 1), flow("restored", t + 1, t)
    seen = ~np_occluded(there, np_warp(back, there, "nearest"))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    seen &= np.abs((columns + there[..., 0]) / (SIZE[1] - 1) - 0.5) <= 0.5
    seen &= np.abs((rows + there[..., 1]) / (SIZE[0] - 1) - 0.5) <= 0.5
    squared = ((np_warp(video[shown][t + 1], there, "nearest") - video[shown][t]) ** 2).sum(-1)
    return 1000 * squared[seen].mean()


def np_tof_tecogan(_, flow, t):
    return np.sqrt(((flow("restored", t, t + 1) - flow("truth", t, t + 1)) ** 2).sum(-1)).mean()


def np_tof_stablevsr(_, flow, t):
    return 10 * np.abs(flow("half restored", t + 1, t) - flow("half truth", t + 1, t)).mean()


def np_tlpips(factor, video, _, t):
    weights = np.linspace(0.2, 1.7, SIZE[1])[:, None]
    restored, truth = (
        (np.sqrt(np.abs(video[name][t] - video[name][t + 1])) * weights).mean() for name in ("restored", "truth")
    )
    return factor * abs(restored - truth)


IN_NUMPY = {
    "e_warp_lai": np_e_warp_lai,
    "warping_error_stablevsr": np_warping_error_stablevsr,
    "e_warp_videogigagan": functools.partial(np_by_restored_flow, "restored"),
    "rwe": functools.partial(np_by_restored_flow, "truth"),
    "tof_tecogan": np_tof_tecogan,
    "tof_stablevsr": np_tof_stablevsr,
    "tlpips_tecogan": functools.partial(np_tlpips, 100),
    "tlpips_stablevsr": functools.partial(np_tlpips, 1000),
}


# 2. Clips of known flow


def field(motion, video, t, s):
    """The flow of a pan; of restored frames a little off it; and with a square that moves by its own."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    flow = np.zeros((*SIZE, 2)) + np.array(motion) * (s - t)
    if "restored" in video:
        flow += 0.2 * (s - t) * np.dstack([np.sin(rows / 9 + t), np.cos(columns / 11)])
    if "half" in video:
        flow *= 0.9
    left = 20 + 5 * t
    flow[10:26, left : left + 14] = np.array([5, 0]) * (s - t)
    return flow


@pytest.mark.parametrize("motion", [(2, -1), (1.5, 0.5), (0.2, 0)], ids=["whole pixels", "half pixels", "slow"])
def test_all_agree_with_numpy(motion):
    truth = panned(4, *motion)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    restored = (truth + 0.05 * noise).clamp(0, 1)
    flow = functools.partial(field, motion)
    tools = Tools(KnownFlow(restored, truth, flow), {"lpips_alex": fake_lpips})
    arrays = {"restored": restored, "truth": truth}
    arrays = {name: video.permute(0, 2, 3, 1).double().numpy() for name, video in arrays.items()}
    assert IN_NUMPY.keys() == set(NAMES)
    for name, in_numpy in IN_NUMPY.items():
        values = measure(name, restored, truth, tools)
        expected = [in_numpy(arrays, flow, t) for t in range(3)]
        np.testing.assert_allclose(values, expected, rtol=1e-4, err_msg=name)


def test_what_leaves_the_frame_counts_for_lai_only():
    clip = panned(3, 3, 0)
    tools = Tools(KnownFlow(clip, clip, lambda _, t, s: np.full((*SIZE, 2), (3.0 * (s - t), 0))))
    assert measure("e_warp_videogigagan", clip, clip, tools).max() < 1e-6
    assert measure("rwe", clip, clip, tools).max() < 1e-6
    gone = [1000 * (a[..., -3:] - b[..., -1:]).square().sum() / a.numel() for a, b in zip(clip, clip[1:], strict=False)]
    np.testing.assert_allclose(measure("e_warp_lai", clip, clip, tools), gone, rtol=1e-4)


def square_over_a_background():
    """A black square that moves by 6 pixels a frame over a photograph at rest, and its flow."""
    clip = panned(1, 0, 0).repeat(3, 1, 1, 1)
    for t in range(3):
        clip[t, :, 10:26, 20 + 6 * t : 36 + 6 * t] = 0

    def flow(_, t, s):
        moves = np.zeros((*SIZE, 2))
        moves[10:26, 20 + 6 * t : 36 + 6 * t, 0] = 6 * (s - t)
        return moves

    return clip, flow


def test_what_a_square_moves_in_front_of_is_left_out():
    clip, flow = square_over_a_background()
    tools = Tools(KnownFlow(clip, clip, flow))
    for name in ("e_warp_lai", "e_warp_videogigagan", "rwe"):
        assert measure(name, clip, clip, tools).max() < 1e-6, name


def test_the_square_is_seen_where_no_flow_knows_of_it():
    clip, _ = square_over_a_background()
    tools = Tools(KnownFlow(clip, clip, lambda *_: np.zeros((*SIZE, 2))))
    still = 1000 * (clip[1:] - clip[:-1]).square().mean(dim=(1, 2, 3)).double().numpy()
    assert still.min() > 5
    np.testing.assert_allclose(measure("e_warp_lai", clip, clip, tools), still, rtol=1e-5)
    np.testing.assert_allclose(measure("e_warp_videogigagan", clip, clip, tools), 3 * still, rtol=1e-5)


def test_pairs_that_have_nothing_in_common_are_left_out():
    clip = panned(4, 0, 0) * torch.tensor([1, 0.98, 0.5, 0.48]).view(4, 1, 1, 1)

    def cut_after_two(_, t, s):
        return np.full((*SIZE, 2), 9.0 if {t, s} == {1, 2} else 0.0)  # there and back: the same way

    tools = Tools(KnownFlow(clip, clip, cut_after_two))
    for name in ("e_warp_lai", "warping_error_stablevsr", "e_warp_videogigagan", "rwe"):
        assert len(measure(name, clip, clip, tools)) == 2, name
    assert len(measure("tof_tecogan", clip, clip, tools)) == 3


def test_only_stablevsr_finds_an_error_in_a_video_at_rest():
    clip = panned(1, 0, 0).repeat(2, 1, 1, 1)
    tools = Tools(KnownFlow(clip, clip, lambda *_: np.zeros((*SIZE, 2))))
    assert measure("e_warp_lai", clip, clip, tools) < 1e-6
    assert measure("warping_error_stablevsr", clip, clip, tools) > 0.01


def test_tof_is_a_length_for_tecogan_and_a_mean_of_components_for_stablevsr():
    truth = panned(3, 1, 0)
    restored = 0.9 * truth
    tools = Tools(
        KnownFlow(restored, truth, lambda video, *_: np.full((*SIZE, 2), (3.0, -4.0) if "restored" in video else 0.0))
    )
    np.testing.assert_allclose(measure("tof_tecogan", restored, truth, tools), [5, 5], rtol=1e-6)
    np.testing.assert_allclose(measure("tof_stablevsr", restored, truth, tools), [35, 35], rtol=1e-6)


def test_what_metrics_share_is_computed_once():
    truth = panned(3, 1, 0)
    restored, compared = 0.9 * truth, []
    flow = KnownFlow(restored, truth, functools.partial(field, (1, 0)))

    def counted(a, b):
        compared.append(1)
        return fake_lpips(a, b)

    tools, meters, moment = Tools(flow, {"lpips_alex": counted}), [METRICS[name].open() for name in NAMES], None
    for pair in zip(restored, truth, strict=True):
        moment = Moment(*pair, moment, tools)
        for meter in meters:
            meter.add(moment)
    assert len(flow.calls) == len(set(flow.calls)) == 2 * 6  # of two pairs: both ways in both videos, twice halved
    assert len(compared) == 2 * 2
    assert [len(meter.values()) for meter in meters] == [2] * len(NAMES)


def test_blur_lowers_the_warping_error_below_that_of_the_truth_but_not_the_referenced_one():
    """VideoGigaGAN's point. Grass: of coarse patterns, such as bricks, aliasing in the small frames raises both."""
    truth = panned(4, 2.5, -0.5, "grass.png")
    blurred = resize(resize(truth, (SIZE[0] // 4, SIZE[1] // 4)), SIZE).clamp(0, 1)
    tools = Tools(farneback)
    for name in ("e_warp_lai", "e_warp_videogigagan", "warping_error_stablevsr"):
        assert measure(name, blurred, truth, tools).mean() < 0.8 * measure(name, truth, truth, tools).mean(), name
    assert measure("rwe", blurred, truth, tools).mean() > 1.2 * measure("rwe", truth, truth, tools).mean()
