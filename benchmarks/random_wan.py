"""Write what a whole upscale at Wan2.1-T2V-1.3B's true sizes reads, where no weights are: random ones, and a clip.

    python benchmarks/random_wan.py FOLDER [--small]

FOLDER gets base/ (transformer and VAE), cpc/ (four blocks, which take time and text), cpc_static/ (the same weights
without either), prompt.safetensors and clip.mp4, 49 frames of 960x540 from a photograph that scikit-image carries: 4 GB.
Such a model's output is noise; its times and memory are the real ones. --small writes the same in miniature.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import torch  # isort: skip
from command_line import parser_of
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from realis.data.photographs import CameraMove, film, photograph
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.ops.pixels import planes_to_image, to_uint8
from realis.training.export import halve
from realis.video.encoding import Encoding
from realis.video.write import SegmentWriter


@dataclass(frozen=True)
class Sizes:
    """Of a model and of a clip for it; those of Wan2.1-T2V-1.3B unless said otherwise."""

    heads: int = 12
    ffn_dim: int = 8960
    layers: int = 30
    text_dim: int = 4096
    vae_dim: int = 96
    window: tuple[int, int, int] = (49, 480, 832)  # frames, height and width of a tile
    clip: tuple[int, int, int] = (49, 540, 960)


SMALL = Sizes(heads=1, ffn_dim=64, layers=4, text_dim=16, vae_dim=8, window=(9, 64, 96), clip=(9, 32, 48))


def random_transformer(sizes: Sizes) -> ControlledWanTransformer3DModel:
    """Return a transformer of these sizes with random weights in float32, on torch's default device."""
    return ControlledWanTransformer3DModel(
        num_attention_heads=sizes.heads,
        attention_head_dim=128,
        ffn_dim=sizes.ffn_dim,
        num_layers=sizes.layers,
        text_dim=sizes.text_dim,
    )


def write_model(folder: Path, sizes: Sizes) -> None:
    """Write base/, cpc/, cpc_static/ and prompt.safetensors: the VAE in float32, as Wan's is published, the rest in
    bfloat16."""
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a minute on a CPU
        transformer = random_transformer(sizes)
        vae = AutoencoderKLWan(base_dim=sizes.vae_dim)
    controlnet = CpcControlNet.from_transformer(transformer, 4, window=sizes.window)
    for name, model in (("base/transformer", transformer), ("base/vae", vae), ("cpc", controlnet)):
        if model is not vae:
            halve(model)
        model.save_pretrained(folder / name)
    controlnet.register_to_config(time_conditioned=False, text_conditioned=False)
    controlnet.save_pretrained(folder / "cpc_static")
    save_file({"prompt_embeds": torch.randn(512, sizes.text_dim).bfloat16()}, folder / "prompt.safetensors")


def write_clip(file: Path, size: tuple[int, int, int]) -> None:
    """Write a pan over a photograph: frames, height and width."""
    frames, *shape = size
    move = CameraMove((250.0, 246.0), (262.0, 266.0), zoom_start=0.5, zoom_stop=0.5)
    with SegmentWriter(file, tuple(shape), Fraction(25), Encoding(crf=10)) as sink:
        pan = film(photograph("astronaut.png"), move, frames, tuple(shape))
        sink.write(0, (planes_to_image(to_uint8(frame)) for frame in pan))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    a = parser.parse_args()
    sizes = SMALL if a.small else Sizes()
    write_model(a.folder, sizes)
    write_clip(a.folder / "clip.mp4", sizes.clip)
    size = sum(file.stat().st_size for file in a.folder.rglob("*") if file.is_file())
    print(f"wrote {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
