"""The rows of the paper's Tables 3 and 5 at the size of realis-tiny, on equal budgets, beside the paper's figures.

    python benchmarks/ablation.py [--output out/ablation_tiny] [--steps 250] [--clips 1500] [--seeds 2] [--threads 1]
        [--only 0/2]

Each run trains a CPC over realis-tiny's transformer with the terms of a recipe in ``train/recipes/ablation``, on clips
rendered from photographs, and restores the held-out photographs (degraded "mid" and by a draw of RealBasicVSR's) in a few
sampling steps with the Wan decoder, as the paper does. What is finished is kept in the output folder and not run again;
``--only 0/2`` and ``--only 1/2`` share the runs between two processes. The tables are printed once all are there; no
row can be better than the Wan decoder's own copy of the truth, which is the last line.

Needs the ``metrics`` extra.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of

from realis.commands.train_cpc import TrainCpcConfig, train_cpc
from realis.core import log
from realis.core.config import parse
from realis.core.errors import run_command
from realis.core.files import whole_file
from realis.degradation.second_order import degrade
from realis.evaluation.degraded import parameters_of
from realis.evaluation.test_sets import films
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.registry import METRICS
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import TINY, model_folder
from realis.models.wan.loading import Wan
from realis.ops.resize import resize
from realis.training.flow import draw_noise
from realis.training.latents import LatentCodec

RECIPES = Path(__file__).parent.parent / "train" / "recipes" / "ablation"
TABLES = {  # what it is, the recipe, the paper's PSNR, SSIM, LPIPS and DISTS on SPMCS
    "Table 3": [
        ("baseline ControlNet", "baseline", (26.54, 0.7843, 0.1807, 0.0875)),
        ("CPC", "cpc", (26.08, 0.8099, 0.1520, 0.0839)),
        ("CPC + wavelet", "cpc_wavelet", (27.24, 0.8114, 0.1549, 0.0817)),
        ("CPC + HOG", "cpc_hog", (27.33, 0.8141, 0.1521, 0.0787)),
        ("CPC + wavelet + HOG", "cpc_wavelet_hog", (27.36, 0.8169, 0.1388, 0.0780)),
    ],
    "Table 5": [
        ("detail bands x 1 (CPC)", "cpc", (26.08, 0.8099, 0.1520, 0.0839)),
        ("detail bands x 1.5", "wavelet_1.5", (26.67, 0.8000, 0.1611, 0.0875)),
        ("detail bands x 2 (CPC + wavelet)", "cpc_wavelet", (27.24, 0.8114, 0.1549, 0.0817)),
        ("detail bands x 3", "wavelet_3", (26.19, 0.7476, 0.1834, 0.0999)),
    ],
}
NAMES = list(dict.fromkeys(recipe for rows in TABLES.values() for _, recipe, _ in rows))
CASES = ("mid", "realbasicvsr")
METRIC_NAMES = ("psnr_rgb", "ssim_rgb", "gmsd", "haarpsi")
MEASURED = ("latents", *METRIC_NAMES)
FRAMES = 9


def run_name(name: str, seed: int, arguments: argparse.Namespace) -> str:
    """Of what is kept of one run: runs of another length or on other clips are other ones."""
    return f"{name}_{seed}_{arguments.steps}_{arguments.clips}"


def train(name: str, seed: int, arguments: argparse.Namespace) -> Path:
    """Train one row; returns the CPC's folder."""
    folder = arguments.output / run_name(name, seed, arguments)
    flags = {
        "--model": TINY, "--clips.manifest": "", "--clips.embeddings": "", "--data.degradations": "light",
        "--data.cache": str(arguments.output / "pairs"), "--data.count": str(arguments.clips),
        "--controlnet.steps": "4", "--controlnet.shift": "2", "--controlnet.sampler": "euler",
        "--optimizer.lr": "1e-3", "--optimizer.ema": "0.98", "--run.output": str(folder),
        "--run.steps": str(arguments.steps), "--run.batch": "16", "--run.accumulation": "1", "--run.seed": str(seed),
        "--run.sequence_parallel": "1", "--run.threads": str(arguments.threads), "--run.resume": "latest",
        "--run.sample_every": "0", "--run.tracker": "none",
    }  # fmt: skip
    words = [*(word for pair in flags.items() for word in pair), "--run.no-gradient-checkpointing"]
    train_cpc(parse(TrainCpcConfig, [str(RECIPES / f"{name}.yaml"), *words], "ablation"))
    return folder / "export"


@torch.no_grad()
def measure(cpc: Path) -> dict[str, float]:
    """Squared error of the sampled latents, and the figures of what the Wan decoder makes of them."""
    wan = Wan(model_folder(TINY, text_encoder=False), torch.float32, torch.float32, "cpu")
    controlnet = CpcControlNet.from_pretrained(cpc)
    model = ControlledWan(wan.transformer, controlnet, wan.encode_prompts([""])[0])
    codec, figures = LatentCodec(wan.vae, "bf16"), []
    for number, (name, film) in enumerate(films(FRAMES).items()):
        hr = film()
        for case in CASES:
            lr = enlarged_lr(hr, case, name)
            batch = {f"{kind}_latents": codec.latents_of(clip_of(clip)) for kind, clip in (("hr", hr), ("lr", lr))}
            noise = draw_noise(batch["lr_latents"], torch.tensor([number]), seed=0)
            with torch.autocast("cpu", torch.bfloat16):
                latents = model.sample(batch["lr_latents"], noise)
            frames = (codec.decode(latents)[0].transpose(0, 1).float() + 1) / 2
            error = (latents - batch["hr_latents"]).square().mean()
            figures.append({"latents": float(error)} | scores(frames.clamp(0, 1), hr))
    return {name: float(np.mean([one[name] for one in figures])) for name in MEASURED}


@torch.no_grad()
def references() -> dict[str, dict[str, float]]:
    """The figures of bicubic resizing, and of the truth through the VAE."""
    wan = Wan(model_folder(TINY, text_encoder=False), torch.float32, torch.float32, "cpu")
    codec, figures = LatentCodec(wan.vae, "bf16"), {"bicubic": [], "the truth, encoded and decoded": []}
    for name, film in films(FRAMES).items():
        hr = film()
        for case in CASES:
            figures["bicubic"].append(scores(enlarged_lr(hr, case, name), hr))
        copy = (codec.decode(codec.latents_of(clip_of(hr)))[0].transpose(0, 1).float() + 1) / 2
        figures["the truth, encoded and decoded"].append(scores(copy.clamp(0, 1), hr))
    return {
        name: {metric: float(np.mean([one[metric] for one in every])) for metric in METRIC_NAMES}
        for name, every in figures.items()
    }


def enlarged_lr(hr: torch.Tensor, case: str, name: str) -> torch.Tensor:
    """Degrade the film ``name`` (F, 3, H, W) and resize it back."""
    size = (hr.shape[2], hr.shape[3])
    lr = degrade(hr, parameters_of(case, 4, 0, name, len(hr), size))
    return resize(lr, size).clamp(0, 1)


def scores(restored: torch.Tensor, hr: torch.Tensor) -> dict[str, float]:
    """Means over frames of the metrics, by name."""
    values = measure_pairs(zip(restored, hr, strict=True), [METRICS[name] for name in METRIC_NAMES], Tools())
    return {name: float(x.mean()) for name, x in values.items()}


def clip_of(frames: torch.Tensor) -> torch.Tensor:
    """Frames (F, 3, H, W) in [0, 1] as a batch of one clip in [-1, 1]."""
    return 2 * frames.transpose(0, 1)[None] - 1


def print_tables(results: dict[str, list[dict[str, float]]]) -> None:
    """Measured means over the seeds, half their range, and the paper's figures."""
    for title, rows in TABLES.items():
        print(f"\n{title:34s}" + "".join(f"{name:>18s}" for name in MEASURED) + "   paper: PSNR   SSIM  LPIPS  DISTS")
        for label, name, paper in rows:
            line = f"{label:34s}"
            for metric in MEASURED:
                values = [one[metric] for one in results[name]]
                digits = 2 if metric == "psnr_rgb" else 4
                line += f"{np.mean(values):10.{digits}f} +-{np.ptp(values) / 2:.{digits}f}".rjust(18)
            print(line + f"        {paper[0]:.2f} " + " ".join(f"{value:.4f}" for value in paper[1:]))
    print()
    for name, one in references().items():
        figures = "".join(f"{one[metric]:10.{2 if metric == 'PSNR' else 4}f}".ljust(18) for metric in METRIC_NAMES)
        print(f"{name:52s}{figures}")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/ablation_tiny"))
    parser.add_argument("--steps", type=count, default=250)
    parser.add_argument("--clips", type=count, default=1500, help="that are rendered to train on")
    parser.add_argument("--seeds", type=count, default=2)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--only", default="0/1", help="i/n: every n-th run from the i-th on")
    arguments = parser.parse_args()
    log.setup()
    model_folder(TINY, text_encoder=False)
    match = re.fullmatch(r"(\d+)/(\d+)", arguments.only)
    if not match or not int(match[1]) < int(match[2]):
        parser.error(f"--only: got {arguments.only!r}, wanted i/n with i below n, such as 0/2")
    part, parts = int(match[1]), int(match[2])
    runs = [(name, seed) for seed in range(arguments.seeds) for name in NAMES]
    files = {run: arguments.output / f"{run_name(*run, arguments)}.json" for run in runs}
    for name, seed in runs[part::parts]:
        if not files[name, seed].is_file():
            figures = measure(train(name, seed, arguments))
            with whole_file(files[name, seed]) as temporary:
                Path(temporary).write_text(json.dumps(figures))
    missing = [f"{name} {seed}" for (name, seed), file in files.items() if not file.is_file()]
    if missing:
        print("not finished yet:", ", ".join(missing))
        return
    print_tables({name: [json.loads(files[name, s].read_text()) for s in range(arguments.seeds)] for name in NAMES})


if __name__ == "__main__":
    run_command(main)
