"""What sharpening the ground truth (``sharpen``, on in RealBasicVSR and Real-ESRGAN, off here) changes.

    python benchmarks/sharpened_truth.py [--draws 8] [--frames 5] [--presets bi realbasicvsr real_esrgan]

Every photograph that scikit-image carries is filmed and degraded twice by each draw, from the truth as it is and from
the sharpened one. Medians over photographs and draws, PSNR in dB of 8-bit frames: how far the two LR clips are from
each other, and each from the truth shrunk by MATLAB's bicubic; the standard deviation of the second LR over that of the
first; and how far the sharpened truth is from the truth, which bounds what a model that reproduces the former exactly
scores on the latter.
"""

from dataclasses import replace

import numpy as np
import torch
from command_line import count, parser_of

from realis.core.errors import run_command
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.degradation.presets import PRESETS, load_degradation
from realis.degradation.second_order import Margin, degrade, degraded_pair

SIZE = (256, 320)
FACTOR = 4


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """PSNR in dB of clips (F, 3, H, W) in [0, 1] on 8-bit levels; infinite where they are equal."""
    a, b = ((clip * 255).round() / 255 for clip in (a, b))
    return float(-10 * torch.log10((a - b).square().mean()))


def compare(hr: torch.Tensor, preset: str, seed: int) -> dict[str, float]:
    """Degrade ``hr`` (F, 3, H, W) by one draw from the truth and from the sharpened truth."""
    rng, size = np.random.default_rng(seed), (hr.shape[2], hr.shape[3])
    parameters = load_degradation(preset).sample(rng, len(hr), size, FACTOR)
    sharp, lr_of_sharp = degraded_pair(hr, replace(parameters, sharpen=True), Margin(0, 0))
    lr = degrade(hr, parameters)
    bicubic = degrade(hr, load_degradation("bi").sample(rng, len(hr), size, FACTOR))
    return {
        "LR to LR": psnr(lr, lr_of_sharp),
        "LR to bicubic": psnr(lr, bicubic),
        "LR of sharpened to bicubic": psnr(lr_of_sharp, bicubic),
        "contrast": float(lr_of_sharp.std() / lr.std()),
        "sharpened truth to truth": psnr(sharp, hr),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=count, default=8, help="of each preset for each photograph")
    parser.add_argument("--frames", type=count, default=5)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["bi", "realbasicvsr", "real_esrgan"])
    a = parser.parse_args()
    clips = []
    for name in (*SAMPLE_PHOTOGRAPHS, *TRAINING_PHOTOGRAPHS):
        image = photograph(name)
        y, x = image.shape[1] / 2, image.shape[2] / 2
        clips.append(film(image, CameraMove((y, x), (y, x + 1.3 * (a.frames - 1))), a.frames, SIZE))
    for preset in a.presets:
        figures = [compare(hr, preset, a.draws * n + draw) for n, hr in enumerate(clips) for draw in range(a.draws)]
        print(f"{preset}, {len(clips)} photographs, {a.draws} draws of each:")
        for name in figures[0]:
            values = [one[name] for one in figures]
            print(f"  {name:28s} {np.median(values):6.2f}   ({min(values):.2f} to {max(values):.2f})", flush=True)


if __name__ == "__main__":
    run_command(main)
