"""The upscale command on real files, in-process: right results, and one line for everything that is wrong."""

import json
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from reads import unread_fields
from realis.commands.__main__ import run_upscale
from realis.models.hub import PRESETS
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.cpc_config import CpcConfig
from realis.video.encoding import Encoding
from realis.video.read import VideoReader
from realis.video.write import SegmentWriter

ROOT = Path(__file__).parents[2]
FAST = [
    "--tile-height",
    "64",
    "--tile-width",
    "64",
    "--tile-overlap",
    "16",
    "--segment-frames",
    "5",
    "--segment-overlap",
    "1",
]


@pytest.fixture
def clip(tmp_path):
    """Seven frames of 44x30, moving."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    path = tmp_path / "clip.mp4"
    with SegmentWriter(path, (30, 44), Fraction(30000, 1001), Encoding(crf=5)) as sink:
        sink.write(0, (np.ascontiguousarray(texture[i : i + 30, i : i + 44]) for i in range(7)))
    return path


def frames_of(path):
    with VideoReader(path) as video:
        return list(video), video.rate


def fails(arguments, capsys, *words):
    """The command refuses: exit code 2, one line on stderr that has ``words`` in it."""
    with pytest.raises(SystemExit) as stop:
        run_upscale([str(a) for a in arguments])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("realis: ")
    assert not [line for line in lines if "Traceback" in line]
    for word in words:
        assert str(word) in lines[-1]


@pytest.mark.parametrize("method", ["cpc", "bicubic"])
@pytest.mark.parametrize(("target", "size"), [("2x", (60, 88)), ("4x", (120, 176)), ("44x30", (30, 44))])
def test_size_frames_and_rate(clip, tmp_path, method, target, size):
    output = tmp_path / "big.mp4"
    run_upscale(["--input", str(clip), "--output", str(output), "--target", target, "--method", method,
                 *(FAST if method == "cpc" else [])])  # fmt: skip
    frames, rate = frames_of(output)
    assert len(frames) == 7
    assert frames[0].shape == (*size, 3)
    assert rate == Fraction(30000, 1001)
    assert Image.open(tmp_path / "big.mp4_before_after.png").width > 0


def test_every_setting_is_read(clip, tmp_path):
    with unread_fields(UpscaleConfig, options=CpcConfig) as unread:
        run_upscale(["--input", str(clip), "--output", str(tmp_path / "out.mp4"), "--target", "2x", *FAST])
    assert unread == set()


def test_wan_decoder_and_more_steps(clip, tmp_path):
    results = {}
    for name, flags in {"lr": [], "wan": ["--decoder", "wan"], "steps": ["--steps", "3", "--sampler", "unipc"]}.items():
        output = tmp_path / f"{name}.mp4"
        run_upscale(["--input", str(clip), "--output", str(output), "--target", "2x", *FAST, *flags])
        results[name] = frames_of(output)[0]
    assert not np.array_equal(results["lr"][3], results["wan"][3])
    assert not np.array_equal(results["lr"][3], results["steps"][3])


@pytest.mark.parametrize("target", ["4x4", "8x100", "100x4"])
@pytest.mark.parametrize("count", [1, 2])
def test_smallest_videos(tmp_path, target, count):
    path, output = tmp_path / "clip.mp4", tmp_path / "o.mp4"
    with SegmentWriter(path, (2, 2), Fraction(25)) as sink:
        sink.write(0, (np.full((2, 2, 3), 99 * i, np.uint8) for i in range(count)))
    run_upscale(["--input", str(path), "--output", str(output), "--target", target])
    frames, _ = frames_of(output)
    assert len(frames) == count
    assert f"{frames[0].shape[1]}x{frames[0].shape[0]}" == target


def test_a_truncated_file_is_said_to_be(tmp_path, capsys):
    """A truncated file with an audio track."""
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        sound = container.add_stream("aac", rate=48000)
        rng = np.random.default_rng(0)
        for i in range(12):
            image = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1920), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 1920 * i
            container.mux(sound.encode(frame))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run_upscale(["--input", str(path), "--output", str(tmp_path / "o.mp4"), "--target", "2x", "--method", "bicubic"])
    said = capsys.readouterr().err
    assert "ends after 0.2 of 0.5 s; it may be cut short" in said


def test_dry_run_writes_nothing(clip, tmp_path, capsys):
    run_upscale(["--input", str(clip), "--output", str(tmp_path / "o.mp4"), "--target", "2x", "--dry-run"])
    assert "plan: 44x30 -> 88x60" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4"]


def test_recipe_then_flags(clip, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("target: 4x\nmethod: bicubic\n")
    run_upscale([str(recipe), "--input", str(clip), "--output", str(tmp_path / "o.mp4"), "--target", "2x"])
    assert frames_of(tmp_path / "o.mp4")[0][0].shape == (60, 88, 3)
    assert re.search(r"wrote .*o.mp4.* peak memory \d+\.\d GiB$", capsys.readouterr().err.splitlines()[-1])


def test_bad_inputs(tmp_path, capsys):
    output = ["--output", tmp_path / "o.mp4"]
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    with av.open(str(tmp_path / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    fails(["--input", tmp_path / "none.mp4", *output], capsys, "nothing there", "none.mp4")
    (tmp_path / "folder").mkdir()
    fails(["--input", tmp_path / "folder", *output], capsys, "a folder without videos or images")
    fails(["--input", tmp_path / "no*.mp4", *output], capsys, "nothing in", "matches it")
    fails(["--input", tmp_path / "empty.mp4", *output], capsys, "the file is empty")
    fails(["--input", tmp_path / "text.mp4", *output], capsys, "not a video")
    fails(["--input", tmp_path / "audio.mp4", *output], capsys, "no video stream")
    assert not (tmp_path / "o.mp4").exists()


def test_bad_flags(clip, tmp_path, capsys):
    base = ["--input", clip, "--output", tmp_path / "o.mp4"]
    fails([*base, "--target", "5k"], capsys, "5k", "wanted 8k, 4k")
    fails([*base, "--target", "20x20"], capsys, "smaller than the input")
    fails([*base, "--tareget", "4k"], capsys, "--tareget")
    fails([*base, "--steps", "many"], capsys, "many")
    fails([*base, "--steps", "-1"], capsys, "--steps")
    fails([*base, "--shift", "-1"], capsys, "--shift", "0 or more")
    fails([*base, "--strength", "1.5"], capsys, "--strength: got 1.5, wanted 0 to 1, or auto")
    fails([*base, "--strength", "much"], capsys, "--strength: got 'much', wanted a number or auto")
    fails([*base, "--method", "magic"], capsys, "magic", "bicubic")
    fails([tmp_path / "none.yaml", *base], capsys, "none.yaml")
    fails(["--input", clip, "--output", tmp_path / "o.avi"], capsys, ".avi", ".mp4")
    fails(["--input", clip, "--output", clip / "below" / "o.mp4"], capsys, "is a file, wanted a folder")
    fails(["--input", clip, "--output", clip], capsys, "is read by this run")
    fails([*base, "--target", "2x", "--segment-frames", "6"], capsys, "segment", "4 n + 1")
    fails([*base, "--target", "2x", "--tile-height", "40"], capsys, "multiples of 16")
    fails([*base, "--target", "2x", "--prompt", "a cat"], capsys, "no text encoder")
    fails([*base, "--target", "2x", "--device", "cuda:77"], capsys, "--device")
    fails([*base, "--target", "2x", "--seed", "10000000000"], capsys, "--seed")
    fails([*base, "--target", "40000x40000"], capsys, "too large")
    assert not (tmp_path / "o.mp4").exists()


@pytest.fixture
def model(tmp_path):
    shutil.copytree(PRESETS / "tiny", tmp_path / "model")
    return tmp_path / "model"


def test_bad_weights(clip, tmp_path, model, capsys):
    base = ["--input", clip, "--output", tmp_path / "o.mp4", "--target", "2x", *FAST]
    weights = model / "controlnet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()

    weights.write_bytes(whole[: len(whole) // 2])
    fails([*base, "--model", model], capsys, "damaged", "controlnet")
    weights.unlink()
    (model / "controlnet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    fails([*base, "--model", model], capsys, "no safetensors weights")
    weights.write_bytes(whole)

    config = json.loads((model / "controlnet" / "config.json").read_text())
    (model / "controlnet" / "config.json").write_text(json.dumps(config | {"num_main_layers": 30, "num_layers": 4}))
    fails([*base, "--model", model], capsys, "num_layers = 30")
    (model / "controlnet" / "config.json").write_text(json.dumps(config | {"ffn_dim": 7}))
    fails([*base, "--model", model], capsys, "ffn", "asks for [7, 128]")
    (model / "controlnet" / "config.json").write_text(json.dumps(config | {"learn_scale": True}))
    fails([*base, "--model", model], capsys, "CpcControlNet", "1 missing")
    (model / "controlnet" / "config.json").write_text("[]")
    fails([*base, "--model", model], capsys, "list")
    (model / "vae" / "config.json").write_text(json.dumps({"z_dim": 48}))
    fails([*base, "--model", model], capsys, "not a Wan2.1")
    shutil.copy(PRESETS / "tiny" / "vae" / "config.json", model / "vae" / "config.json")
    shutil.rmtree(model / "controlnet")
    fails([*base, "--model", model], capsys, "--cpc")
    fails([*base, "--model", tmp_path / "nowhere"], capsys, "nowhere")
    assert not (tmp_path / "o.mp4").exists()


def test_a_damaged_video_leaves_nothing(tmp_path, capsys):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        rng = np.random.default_rng(0)
        for _ in range(12):
            image = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    content[len(content) // 4 :] = b""
    path.write_bytes(content[:400])
    fails(
        ["--input", path, "--output", tmp_path / "o.mp4", "--target", "2x", "--method", "bicubic"], capsys, "clip.mkv"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mkv"]


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--nope"], ["--target", "5k"], ["--input", "none.mp4"], ["--input", "README.md"], ["none.yaml"],
     ["--output", "out/x.avi"], ["--cpc", "nowhere"], ["--steps", "-1"], ["--model", "nowhere"],
     ["--target", "100x100"], ["--segment-frames", "6"], ["--tile-height", "40"]],
)  # fmt: skip
def test_help_and_errors_come_before_torch_is_imported(arguments):
    done = run_python(
        "import sys\nfrom realis.commands.__main__ import run_upscale\n"
        f"try:\n    run_upscale({arguments})\nexcept SystemExit as stop:\n"
        "    print('torch' in sys.modules, stop.code)"
    )
    assert done.stdout.splitlines()[-1] == f"False {0 if '--help' in arguments else 2}", done.stderr


def test_unreachable_hub_is_one_line(clip):
    done = run_python(
        "from realis.commands.__main__ import run_upscale\n"
        f"run_upscale(['--model', 'Wan-AI/Wan2.1-T2V-1.3B-Diffusers', '--input', '{clip}', '--target', '2x'])",
        HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("realis: --model: 'Wan-AI/Wan2.1-T2V-1.3B-Diffusers' is no folder here")
    assert "`hf download Wan-AI/Wan2.1-T2V-1.3B-Diffusers` fetches it" in line


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), ([], 2), (["upscal"], 2), (["upscale", "--nope"], 2)])
def test_the_realis_program(arguments, code):
    done = subprocess.run(
        [Path(sys.executable).parent / "realis", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("upscale | plan | evaluate | methods | degrade | precompute | train" in done.stdout) == (code == 0)
    assert bool(done.stderr.strip()) == (code == 2)


@pytest.mark.parametrize("flags", [["--offload"], ["--fp8"], ["--attention", "native"], ["--offload", "--fp8"]])
def test_less_memory_gives_nearly_the_same(clip, tmp_path, flags):
    for name, own in (("whole", []), ("less", flags)):
        output = tmp_path / f"{name}.mkv"
        run_upscale(["--input", str(clip), "--output", str(output), "--target", "2x", "--codec", "ffv1", *FAST, *own])
    whole, less = (np.stack(frames_of(tmp_path / f"{name}.mkv")[0]).astype(int) for name in ("whole", "less"))
    assert np.abs(whole - less).max() <= (3 if "--fp8" in flags else 0)


def test_unknown_attention_is_refused(clip, tmp_path, capsys):
    fails(
        ["--input", clip, "--output", tmp_path / "o.mp4", "--target", "2x", "--attention", "magic"],
        capsys,
        "--attention",
    )
