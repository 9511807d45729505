"""Do the commands still write the same, to the last byte? For changes to the code that are to change no result.

    python benchmarks/same_bytes.py --write before.json [--only 'upscale*'] [--begun FOLDER]
    python benchmarks/same_bytes.py --against before.json [--only 'upscale*'] [--begun FOLDER]

Runs the scripts of this checkout on clips that it renders, one thread each, and takes a digest of every file they write,
of the decoded frames of every video and picture, and of every top-level setting of a resolved configuration. --against
names each digest that differs, is missing or is new; exit code 1 if there is one, or if a command fails.

The case "resumed" goes on with a training run and with an upscale that was killed. --begun FOLDER keeps both as they were
begun, and uses those that are there already: so what an earlier version of the code began is finished by this one.

Digests hold for one machine and one set of packages: another processor rounds, and another encoder decides, otherwise.
"""

import argparse
import contextlib
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import av  # isort: skip
import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
SKIPPED = (
    "lock", ".lock",  # empty
    ".made.jsonl",  # when the files of an LR set were written
    "licences.jsonl", "probe.jsonl",  # of the builder: when its footage was written
    "events.out.tfevents.*",  # TensorBoard's curves, with the time of every point
)  # fmt: skip

UPSCALE, BICUBIC = ["infer/upscale.py"], ["infer/upscale.py", "--method", "bicubic"]
CLIP = ["--input", "../inputs/clip.mp4"]
SMALL_TILES = ["--tile-height", "64", "--tile-width", "64", "--tile-overlap", "16"]
SEGMENTS = ["--segment-frames", "5", "--segment-overlap", "1"]
SMALL_RUN = ["--run.threads", "1", "--run.tracker", "none", "--run.steps", "4", "--run.save-every", "2"]
TINY_RUN = ["train/train_cpc.py", *SMALL_RUN, "--data.count", "6", "--data.frames", "5", "--data.size", "64",
            "--optimizer.ema", "0.9"]  # fmt: skip
FOOTAGE = ["--model", "../inputs/wan", "--clips.manifest", "../inputs/train.jsonl", "--clips.frames", "5",
           "--clips.buckets", "64x64", "96x64", "--clips.workers", "1", "--clips.embeddings", "embeddings"]  # fmt: skip
PRESETS = ("realbasicvsr", "real_esrgan", "light", "bi", "bd")

# By case, the commands that run one after the other in a folder of that name.
CASES = {
    "upscale_segments_and_tiles": [[*UPSCALE, *CLIP, "--output", "out.mp4", "--target", "2x", *SEGMENTS, *SMALL_TILES]],
    "upscale_png": [[*UPSCALE, *CLIP, "--output", "out", "--codec", "png", "--target", "96x64", "--color-fix", "adain"]],
    "upscale_wan_decoder": [[
        *UPSCALE, "--input", "../inputs/ten_bit.mkv", "--output", "out.mkv", "--target", "2x", "--decoder", "wan",
        "--codec", "h265", "--dtype", "float32", "--sampler", "unipc", "--steps", "3", "--seed", "1", "--color-fix", "wavelet",
    ]],
    "upscale_bicubic": [[
        *BICUBIC, *CLIP, "--output", "out.mp4", "--target", "2.5x", "--start", "0.2", "--duration", "0.3", "--codec", "av1",
    ]],
    "upscale_alpha": [[*BICUBIC, "--input", "../inputs/alpha.mkv", "--output", "out.mov", "--target", "2x", "--codec", "prores"]],
    "captions": [
        ["train/precompute.py", *FOOTAGE],
        ["train/train_cpc.py", *FOOTAGE, *SMALL_RUN, "--run.output", "run", "--run.accumulation", "2", "--run.precision", "no",
         "--controlnet.layers", "2", "--controlnet.window", "5", "64", "64", "--optimizer.lr", "1e-2"],
        [*UPSCALE, "--input", "../inputs/clip.mp4", "../inputs/ten_bit.mkv", "--output", "out", "--target", "2x",
         "--model", "../inputs/wan", "--cpc", "run/export", "--prompt-file", "../inputs/prompts.jsonl",
         "--negative-prompt", "of a", "--guidance", "3", "--steps", "2", *SEGMENTS],
    ],
    "train_cpc": [["train/train_cpc.py"]],
    "train_tiny": [["train/train_tiny.py", "--recipes", "../inputs/recipes", "--threads", "1"]],
    "resumed": [
        [*TINY_RUN, "--run.output", "resumed", "--run.resume", "run/checkpoint-000002"],
        [*UPSCALE, "--input", "clip.mp4", "--output", "out.mp4", "--target", "2x", *SEGMENTS],
    ],
    "build": [["dataset_tools/build_realisvideo.py"]],
    "make_lr": [
        ["dataset_tools/make_lr.py", "--ground-truth", "../inputs/footage", "--output", preset, "--preset", preset,
         "--workers", "1"]
        for preset in PRESETS
    ],
}  # fmt: skip


def image(number: int, height: int, width: int) -> np.ndarray:
    """Return a frame of a pan over a random texture with soft light, (H, W, 3) uint8."""
    coarse, fine = (np.random.default_rng(n).random((64 // n, 64 // n, 3)) for n in (8, 1))
    texture = 0.7 * np.kron(coarse, np.ones((24, 24, 1))) + 0.3 * np.kron(fine, np.ones((3, 3, 1)))
    light = 0.6 + 0.4 * np.sin(np.arange(width) / 20 + number / 3)
    window = texture[number : number + height, 2 * number : 2 * number + width] * light[:, None]
    return (window * 255).round().astype(np.uint8)


def write_video(
    file: Path, size: tuple[int, int], times: list[int], codec: str, pixels: str, sound: bool = False
) -> None:
    """Write frames that are shown at ``times``, in hundredths of a second, and a tone if there is to be ``sound``."""
    # Without cpu-independent, x264 now and then encodes the same frames otherwise, on one thread too.
    options = {"crf": "4", "x264-params": "cpu-independent=1"} if codec == "libx264" else {}
    with av.open(str(file), "w", options={"fflags": "+bitexact"}) as container:  # Matroska draws a number for each file
        video = container.add_stream(codec, rate=25, options=options)
        video.height, video.width, video.pix_fmt = *size, pixels
        video.codec_context.time_base = Fraction(1, 100)
        tone = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, moment in enumerate(times):
            picture = image(number, *size)
            opacity = np.full((*size, 1), 255 - 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([picture, opacity], axis=2), format="rgba")
            frame.pts, frame.time_base = moment, Fraction(1, 100)
            container.mux(video.encode(frame.reformat(format=pixels)))
        container.mux(video.encode(None))
        if tone:
            wave = 0.1 * np.sin(0.05 * np.arange(480 * times[-1]))
            frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux(tone.encode(frame))
            container.mux(tone.encode(None))


def write_wan(folder: Path) -> None:
    """Write a Wan model of random weights that reads six words."""
    import torch
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    words = {"<pad>": 0.0, "</s>": 0.0, "<unk>": -9.0} | {
        f"▁{word}": -1.0 for word in ("a", "close", "up", "of", "cat")
    }
    tokenizer = Tokenizer(models.Unigram(list(words.items()), unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    WanPipeline(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
        ),
        text_encoder=UMT5EncoderModel(
            UMT5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        vae=AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=4
        ),
    ).save_pretrained(folder)


def write_inputs(folder: Path) -> None:
    """Write clips of several kinds, captions and prompts, a model that reads them, and short recipes of realis-tiny."""
    (folder / "footage" / "frames").mkdir(parents=True)
    even = list(range(0, 68, 4))
    write_video(folder / "clip.mp4", (48, 64), even, "libx264", "yuv420p", sound=True)
    write_video(folder / "ten_bit.mkv", (48, 64), even[:9], "ffv1", "yuv422p10le")
    write_video(folder / "alpha.mkv", (48, 64), [0, 4, 9, 10, 30, 34], "ffv1", "bgra")
    for name, size in (("wide", (96, 128)), ("high", (128, 96))):
        write_video(folder / "footage" / f"{name}.mp4", size, even[:9], "libx264", "yuv420p")
    for number in range(5):
        Image.fromarray(image(number, 96, 96)).save(folder / "footage" / "frames" / f"{number:04d}.png")
    captions = (("footage/wide.mp4", "close up of a cat"), ("footage/high.mp4", "up of a"))
    prompts = (("clip.mp4", "a cat"), ("ten_bit.mkv", "close up"))
    rows = [json.dumps({"file_name": name, "caption": text}) for name, text in captions]
    (folder / "train.jsonl").write_text("\n".join(rows))
    rows = [json.dumps({"file": name, "prompt": text}) for name, text in prompts]
    (folder / "prompts.jsonl").write_text("\n".join(rows))
    write_wan(folder / "wan")
    (folder / "recipes").mkdir()
    for file in (ROOT / "train/recipes/tiny").glob("*.yaml"):
        recipe = yaml.safe_load(file.read_text())
        recipe["data"] |= {"count": 6, "frames": 5, "size": 64}
        recipe["run"] |= {"steps": 2, "batch": 2, "save_every": 1, "sample_every": 2, "tracker": "none"}
        if "oracle_steps" in recipe:
            recipe["oracle_steps"] = 1
        (folder / "recipes" / file.name).write_text(yaml.safe_dump(recipe))


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a script of this checkout in ``folder``, on one thread of the CPU. All are processes of their own, and only
    what a user sees of them is relied on: whatever is moved within the package, this goes on working."""
    script, *flags = command
    place = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *flags], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | place, text=True,  # noqa: TID251 - of another process
    )  # fmt: skip


def run(command: list[str], folder: Path) -> str:
    """Run a script to its end; returns what it said.

    Raises:
        RuntimeError: it failed.
    """
    process = start(command, folder)
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said.strip().splitlines()[-1:]}")
    return said


def begin(folder: Path, clip: Path) -> None:
    """Leave in ``folder`` what "resumed" goes on with: a run with a checkpoint, and an upscale of ``clip`` that was killed."""
    folder.mkdir(parents=True)
    shutil.copy(clip, folder / "clip.mp4")
    run([*TINY_RUN, "--run.output", "run"], folder)
    upscale = start(CASES["resumed"][1], folder)
    while upscale.poll() is None and not any(folder.glob(".out.mp4.parts/*.video")):
        time.sleep(0.01)
    upscale.kill()
    upscale.communicate()
    assert not (folder / "out.mp4").exists(), "the upscale was to be killed, but ended before"


def frames_digest(file: Path) -> str:
    """Return the digest of all frames of a video or picture, with their times, as 16-bit RGBA."""
    state = hashlib.sha256()
    # The builder's footage has a damaged video.
    with contextlib.suppress(av.InvalidDataError), av.open(str(file)) as container:
        for frame in container.decode(video=0):
            state.update(f"{frame.time} {frame.width}x{frame.height} {frame.format.name}".encode())
            state.update(frame.to_ndarray(format="rgba64le").tobytes())
    return state.hexdigest()


def digests(folder: Path, work: Path) -> dict[str, str]:
    """Return the digests of what is in ``folder``, by file, and by what is looked at in it."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or any(fnmatch.fnmatch(file.name, pattern) for pattern in SKIPPED):
            continue
        name = str(file.relative_to(work))
        content = file.read_bytes().replace(os.fsencode(work), b"WORK")  # absolute paths, in settings
        settings = yaml.safe_load(content) if file.suffix == ".yaml" else None
        if content.startswith(b'{\n "made from"'):  # beside a result: its settings, and when its files were written
            settings = json.loads(content)["made from"]
        if settings is None:
            found[name] = hashlib.sha256(content).hexdigest()
        else:
            for key, value in settings.items():
                found[f"{name}: {key}"] = hashlib.sha256(json.dumps(value).encode()).hexdigest()
        if file.suffix in (".mp4", ".mkv", ".mov", ".png"):
            found[f"{name}: frames"] = frames_digest(file)
    return found


def run_cases(names: list[str], work: Path, begun: Path) -> dict[str, str]:
    """Run the cases ``names`` in ``work``; returns their digests."""
    found = {}
    for name in names:
        since, folder = time.perf_counter(), work / name
        try:
            if name == "resumed":
                if not begun.exists():
                    begin(begun, work / "inputs/clip.mp4")
                shutil.copytree(begun, folder)
            folder.mkdir(exist_ok=True)
            said = [run(command, folder) for command in CASES[name]]
            if name == "resumed":
                found["resumed/goes on"] = str(["going on from" in words for words in said])
        except RuntimeError as error:
            found[f"{name}/failed"] = str(error)
            print(f"{name}: {error}", flush=True)
        found |= digests(folder, work)
        print(f"{name}: {time.perf_counter() - since:.0f} s", flush=True)
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each digest that is not the same in both."""
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [f"{'missing' if name in gone else 'new' if name in new else 'differs'}: {name}" for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", type=Path, metavar="FILE")
    mode.add_argument("--against", type=Path, metavar="FILE")
    parser.add_argument("--only", default="*", metavar="PATTERN", help=f"of {', '.join(CASES)}")
    parser.add_argument("--begun", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    names = fnmatch.filter(CASES, args.only)
    if not names:
        parser.error(f"--only: got {args.only!r}, wanted a pattern of {', '.join(CASES)}")
    before = json.loads(args.against.read_text()) if args.against else {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary).resolve()
        write_inputs(work / "inputs")
        after = run_cases(names, work, args.begun or work / "begun")
    failed = any(name.endswith("/failed") for name in after)
    if args.write:
        args.write.write_text(json.dumps(after, indent=1) + "\n")
        print(f"wrote {len(after)} digests")
        raise SystemExit(failed)
    before = {name: value for name, value in before.items() if name.split("/")[0] in names}
    different = differences(before, after)
    print(
        *different,
        f"{len(before.keys() | after.keys()) - len(different)} digests equal, {len(different)} not",
        sep="\n",
    )
    raise SystemExit(failed or bool(different))


if __name__ == "__main__":
    main()
