"""Weights as ncnn writes them: what is read equals what was written, and damage is told."""

import numpy as np
import pytest
import torch
from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN

from benchmark_files import load_benchmark
from realis.core.errors import InputError

ncnn = load_benchmark("ncnn_weights")


def write(param, layers, half=True):
    """Write layers ``(kind, tensors)`` as ncnn does, with layers between them that have no weights."""
    lines, content = ["Input in 0 1 data"], b""
    for i, (kind, tensors) in enumerate(layers):
        weight = tensors["weight"].numpy()
        if kind == "PReLU":
            lines.append(f"PReLU p{i} 1 1 {i} {i + 1} 0={len(weight)}")
            content += weight.tobytes()
            continue
        out, _, kernel, _ = weight.shape
        has_bias = "bias" in tensors
        lines += [f"Split s{i} 1 2 {i} {i}a {i}b", f"Convolution c{i} 1 1 {i}a {i + 1} 0={out} 1={kernel} 4=1 "
                  f"5={int(has_bias)} 6={weight.size} 9=2 -23310=1,2.000000e-01"]  # fmt: skip
        stored = weight.astype(np.float16 if half else np.float32).tobytes()
        content += (ncnn.FLOAT16 if half else 0).to_bytes(4, "little") + stored + bytes(-len(stored) % 4)
        content += tensors["bias"].numpy().tobytes() if has_bias else b""
    param.write_text("\n".join(["7767517", f"{len(lines)} 9", *lines]) + "\n")
    param.with_suffix(".bin").write_bytes(content)
    return param


def rounded(network):
    """Random tensors of a network that 16 bits hold exactly."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(x.shape, generator=generator).half().float() for name, x in network.state_dict().items()}


def grouped(tensors):
    """Tensors by layer, in order, each with its kind."""
    layers = {}
    for name, tensor in tensors.items():
        layers.setdefault(name.rpartition(".")[0], {})[name.rpartition(".")[2]] = tensor
    return [("Convolution" if "bias" in layer else "PReLU", layer) for layer in layers.values()]


@pytest.mark.parametrize("half", [True, False])
def test_a_compact_network_comes_back(tmp_path, half):
    network = Compact(num_feat=5, num_conv=1, upscale=2)  # 135 weights of 16 bits are not whole words
    tensors = rounded(network)
    read = ncnn.state_dict(write(tmp_path / "a.param", grouped(tensors), half))
    assert list(read) == list(tensors) and all(torch.equal(read[name], tensors[name]) for name in tensors)
    network.load_state_dict(tensors)
    image = torch.rand(1, 3, 6, 7)
    assert torch.equal(ModelLoader().load_from_state_dict(read)(image), network(image).clamp(0, 1))


def test_a_network_of_residual_dense_blocks_comes_back(tmp_path):
    network = ESRGAN(num_filters=4, num_blocks=2)
    tensors = rounded(network)  # by the names of the first ESRGAN, whose convolutions stand in the same order
    read = ncnn.state_dict(write(tmp_path / "a.param", grouped(tensors)))
    assert {"conv_first.weight", "body.1.rdb3.conv5.bias", "conv_up2.weight", "conv_last.bias"} < set(read)
    network.load_state_dict(tensors)
    image = torch.rand(1, 3, 6, 7)
    assert torch.equal(ModelLoader().load_from_state_dict(read)(image), network(image).clamp(0, 1))


def test_a_convolution_without_a_bias_has_one_of_zeros(tmp_path):
    (layer,) = ncnn.read_layers(write(tmp_path / "a.param", [("Convolution", {"weight": torch.ones(2, 1, 1, 1)})]))
    assert torch.equal(layer.tensors["bias"], torch.zeros(2))


def test_what_is_no_such_network_is_refused(tmp_path):
    good = grouped(rounded(Compact(num_feat=4, num_conv=1, upscale=1)))
    param = write(tmp_path / "a.param", good)
    text, content = param.read_text(), param.with_suffix(".bin").read_bytes()
    for changed, weights, message in (
        (text, content[:-4], f"a.bin: got {len(content) - 4} bytes, wanted more"),
        (text, content + bytes(4), "a.bin: got 4 bytes too many, wanted the weights of a.param"),
        (text, b"\1\2\3\4" + content[4:], "a.bin: got weights with the tag 0x4030201"),
        (text.replace("7767517", "7767518"), content, "a.param: got 7767518 in its first line"),
        (text.replace("PReLU", "Sigmoid"), content, "a.param: got a layer Sigmoid"),
    ):
        param.write_text(changed)
        param.with_suffix(".bin").write_bytes(weights)
        with pytest.raises(InputError, match=message):
            ncnn.state_dict(param)
    with pytest.raises(InputError, match=r"got 2 convolutions, wanted those of RRDBNet: 15 n \+ 6"):
        ncnn.state_dict(write(param, [layer for layer in good if layer[0] == "Convolution"][:2]))
