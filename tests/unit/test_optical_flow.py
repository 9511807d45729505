"""Estimators of optical flow: their direction, frames of any size, and the weights that they take."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from realis.comparators.basicvsr.network import BasicVsr
from realis.core.errors import InputError
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.optical_flow.farneback import farneback
from realis.models.optical_flow.loading import load_flow
from realis.models.optical_flow.raft import Raft, load_raft, raft_small
from realis.models.optical_flow.spynet import SpyNet, common_name, load_spynet
from realis.ops.warp import warp
from small_basicvsr import mmediting, moving_clip, small_weights

# By forward, whose arguments a checker of types compares with the protocol's: those of calling a module may be any
ESTIMATORS: tuple[FlowEstimator, ...] = (SpyNet().forward, Raft(raft_small(weights=None), updates=1).forward, farneback)


def shifted(x, y, size=(48, 64)):
    """Two frames of a smooth texture; what is at p in the first is at p + (x, y) in the second."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    a, b = (
        np.sin((rows - dy) / 3) * np.cos((columns - dx) / 4) + np.sin((rows - dy + columns - dx) / 5)
        for dx, dy in ((0, 0), (x, y))
    )
    return tuple(torch.from_numpy(frame / 4 + 0.5).float().expand(1, 3, -1, -1) for frame in (a, b))


def test_farneback_finds_a_motion_and_warping_undoes_it():
    a, b = shifted(2, -1)
    flow = farneback(torch.cat((a, b)), torch.cat((b, a)))
    assert flow.shape == (2, 2, 48, 64) and flow.dtype == torch.float32
    centre = flow[..., 12:-12, 12:-12]
    torch.testing.assert_close(centre[0].mean((1, 2)), torch.tensor([2.0, -1.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(centre[1].mean((1, 2)), torch.tensor([-2.0, 1.0]), atol=0.1, rtol=0)
    before, after = ((x - a)[..., 12:-12, 12:-12].abs().mean() for x in (b, warp(b, flow[:1])))
    assert after < before / 10


def constant_network(a, b, num_flow_updates):
    """In the place of RAFT: its sides have to be multiples of 8, of 128 pixels at least."""
    assert min(a.shape[-2:]) >= 128 and not any(side % 8 for side in a.shape[-2:])
    assert a.min() >= -1 and a.max() > 0.5 and num_flow_updates == 3
    return [a[:, :2]]


@pytest.mark.parametrize("size", [(20, 30), (131, 160)])
def test_raft_takes_frames_of_any_size(size):
    a, b = (torch.rand(1, 3, *size) for _ in range(2))
    network = torch.nn.Module()
    network.forward = constant_network
    torch.testing.assert_close(Raft(network, updates=3)(a, b), 2 * a[:, :2] - 1)


def test_raft_is_loaded_from_a_file(tmp_path):
    torch.manual_seed(0)
    network = raft_small(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    loaded = load_raft(tmp_path / "raft.pth", "--flow")
    a, b = (torch.rand(1, 3, 128, 128) for _ in range(2))
    loaded.updates = 1
    with torch.no_grad():
        assert torch.equal(loaded(a, b), network(2 * a - 1, 2 * b - 1, num_flow_updates=1)[-1])


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"basic_module": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"--flow .*other.pth: got weights of another network, wanted those of RAFT"):
        load_raft(tmp_path / "other.pth", "--flow")


def test_without_a_file_flow_is_farnebacks():
    assert load_flow(None, "--flow", "cpu") is farneback


@pytest.fixture(scope="module", params=["BasicSR", "MMEditing"])
def basicvsr_file(request, tmp_path_factory):
    """Weights of BasicVSR by the names of either house."""
    file, weights = tmp_path_factory.mktemp("basicvsr") / "weights", small_weights()
    if request.param == "BasicSR":
        save_file(weights, file)
    else:
        torch.save(mmediting(weights), file)
    return file


def test_spynet_is_that_of_basicvsr(basicvsr_file):
    network = BasicVsr(4, 2)
    network.load_state_dict(small_weights())
    a, b = (frame[None] for frame in moving_clip(2, 20, 30))
    loaded = load_flow(basicvsr_file, "--flow", "cpu")
    flow = loaded(a, b)
    assert isinstance(loaded, SpyNet) and not flow.requires_grad
    with torch.no_grad():
        assert torch.equal(flow, network.spynet(a, b)) and flow.std() > 0.1


def test_a_layer_and_its_relu_are_one_module_of_mmediting():
    for theirs, ours in ((0, 0), (1, 2), (4, 8)):
        end = "basic_module.3.basic_module"
        assert common_name(f"x.spynet.{end}.{theirs}.conv.bias") == f"x.spynet.{end}.{ours}.bias"
        assert common_name(f"spynet.{end}.{ours}.bias") == f"spynet.{end}.{ours}.bias"
    assert common_name("upconv1.0.conv.weight") == "upconv1.0.conv.weight"


def test_raft_is_told_by_its_weights(tmp_path):
    network = raft_small(weights=None)
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    loaded = load_flow(tmp_path / "raft.pth", "--flow", "cpu")
    assert isinstance(loaded, Raft) and not loaded.network.training
    assert loaded.network.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(x, network.state_dict()[name]) for name, x in loaded.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: {}, r"^--flow .*: got weights of another network, wanted those of RAFT"),
        (lambda weights: dict(list(weights.items())[:-1]), r"^--flow .*: not the weights of this SpyNet: 1 missing"),
        (lambda weights: weights | {"spynet.other": torch.zeros(1)}, "this SpyNet: 1 unknown"),
        (lambda weights: weights | {"spynet.mean": torch.zeros(1)}, r"this SpyNet: 1 of another shape \(such as mean"),
    ],
)
def test_wrong_weights_of_flow_are_refused(tmp_path, change, message):
    spynet = {name: weight for name, weight in small_weights().items() if name.startswith("spynet.")}
    save_file(change(spynet) | {"upconv1.weight": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(InputError, match=message):
        load_flow(tmp_path / "other", "--flow", "cpu")


def test_a_file_of_flow_has_to_be_there_and_of_a_network_that_has_it(tmp_path):
    with pytest.raises(InputError, match=r"^--flow .*none.pth: nothing there"):
        load_flow(tmp_path / "none.pth", "--flow", "cpu")
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(
        InputError, match=r"^--flow .*other: got weights of a network without SpyNet, wanted such as Basic"
    ):
        load_spynet(tmp_path / "other", "--flow")


@pytest.mark.parametrize("estimate", ESTIMATORS)
@pytest.mark.parametrize("size", [(1, 1), (33, 50)])
def test_estimators_take_frames_of_any_size(estimate, size):
    with torch.no_grad():
        flow = estimate(torch.rand(2, 3, *size), torch.rand(2, 3, *size))
    assert flow.shape == (2, 2, *size) and flow.dtype == torch.float32 and flow.isfinite().all()
