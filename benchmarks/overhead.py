"""What reading, converting, encoding, the journal and joining add to the work itself.

    python benchmarks/overhead.py [--runs 5] [--target 4x] [--threads N]

The sample clip at 480x270 (33 frames) is upscaled by the whole command, and side by side the same segments and tiles
are computed from frames in memory and thrown away. Both load the model. Prints each run's ratio and the median. The
sheet of before and after is part of the command.
"""

import itertools
import statistics
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from command_line import count, parser_of
from timing import seconds

from realis.commands.upscale import upscale
from realis.data.photographs import sample_clip
from realis.methods.flags import make_config
from realis.methods.registry import find_method
from realis.ops.pixels import planes_to_image, to_uint8
from realis.ops.resize import resize
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.frames import read_frames
from realis.upscaling.app.loading import Loader
from realis.upscaling.app.plan import make_plan
from realis.upscaling.stream import Frame, upscale_stream
from realis.video.encoding import Encoding
from realis.video.source import open_source
from realis.video.write import SegmentWriter

FRAMES, SIZE = 33, (270, 480)


def bare(config: UpscaleConfig, frames: list[Frame]) -> None:
    """The work alone."""
    loader = Loader(find_method(config.method), config, [""])
    with open_source(config.input[0]) as source:
        plan = make_plan(config, loader.needs(False), source.format, Path(config.output))
    for _ in upscale_stream(loader.upscaler, frames, plan.size, plan.tiles, config.seed, advance=lambda share: None):
        pass


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=count, default=5)
    parser.add_argument("--target", default="4x")
    parser.add_argument("--threads", type=count, help="of torch; left out: its own choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "in.mp4"
        with SegmentWriter(clip, SIZE, Fraction(25), Encoding(crf=10)) as sink:
            there_and_back = itertools.cycle([*sample_clip()])
            sink.write(
                0, (planes_to_image(to_uint8(resize(f, SIZE))) for f in itertools.islice(there_and_back, FRAMES))
            )
        config = make_config(input=(str(clip),), output=str(Path(name) / "out.mp4"), target=args.target, restart=True)
        with open_source(clip) as source:
            frames = list(read_frames(source, source.frames(), opaque=True))
        bare(replace(config, target="1x"), frames)  # what a first run loads and plans is not counted
        ratios = []
        for run in range(args.runs):
            work, command = seconds(lambda: bare(config, frames)), seconds(lambda: upscale(config))
            ratios.append(command / work)
            print(
                f"run {run + 1}: command {command:.1f} s, work alone {work:.1f} s, ratio {ratios[-1]:.3f}", flush=True
            )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
