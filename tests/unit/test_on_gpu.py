"""The first look at a GPU: its commands are right, none of them stops the others, and models of random weights open."""

import os
import re
import shlex
import time
from pathlib import Path

import pytest

from benchmark_files import load_benchmark
from realis.commands.upscale import upscale
from realis.methods.flags import parse_upscale
from realis.methods.registry import find_method
from realis.upscaler import Tile
from realis.upscaling.app.plan import tile_for, tiles_of
from realis.video.source import open_source
from realis.video.target import target_size

on_gpu, random_wan = load_benchmark("on_gpu"), load_benchmark("random_wan")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    random_wan.write_model(folder / "wan", random_wan.SMALL)
    random_wan.write_clip(folder / "wan" / "clip.mp4", random_wan.SMALL.clip)
    return folder


@pytest.mark.parametrize("small", [True, False])
def test_its_commands_are_right(work, small):
    for part in on_gpu.parts_of(work, small):
        script, *flags = shlex.split(part.command)
        assert script in ("-c", "-m") or (on_gpu.ROOT / script).is_file()
        if script == "infer/upscale.py":
            config = parse_upscale(flags)
            assert config.device == ("cpu" if small else "cuda")
            options = config.options
            files = (*config.input, options.cpc, options.prompt_embeds, options.empty_prompt_embeds)
            assert all(Path(file).exists() for file in files)  # an empty name is the current folder


def planned(part, small):
    """The flags of a part that upscales the clip, what its method needs, the size of the result, and its tiles."""
    config = parse_upscale(shlex.split(part.command)[1:])
    needs = find_method(config.method).needs(config.options, prompted=False)
    _, height, width = (random_wan.SMALL if small else random_wan.Sizes()).clip
    size = target_size(config.target, width, height, even=True)
    return config, needs, size, tiles_of(size, needs, tile_for(size, needs))


@pytest.mark.parametrize("small", [True, False])
def test_the_single_pass_is_a_single_tile(work, small):
    (part,) = [part for part in on_gpu.parts_of(work, small) if "single_pass" in part.name]
    _, _, size, tiles = planned(part, small)
    assert list(tiles) == [Tile(0, size[0], 0, size[1])]


@pytest.mark.parametrize("small", [True, False])
def test_tiles_of_4k_keep_control_features_where_the_name_says(work, small):
    """Under the CPC of the other parts, which is not static, no tile keeps any."""
    kept = {}
    for part in on_gpu.parts_of(work, small):
        if part.name.startswith("upscale"):
            config, needs, _, tiles = planned(part, small)
            if needs.tile_values:
                assert len(tiles) > 1
                kept[part.name] = config.options.control_cache
    assert kept == {
        "upscale_4k_fused_2_steps": "device",
        "upscale_4k_fused_host_2_steps": "host",
        "upscale_4k_shifted_2_steps": "auto",
    }


def test_a_model_of_random_weights_upscales_its_clip(work):
    (part,) = [part for part in on_gpu.parts_of(work, small=True) if part.name == "upscale_720p_4_steps"]
    (result,) = upscale(parse_upscale(shlex.split(part.command)[1:]))
    frames, height, width = random_wan.SMALL.clip
    with open_source(result) as source:
        assert source.format.size == (2 * height, 2 * width) and len(list(source.frames())) == frames


def look(monkeypatch, parts, *flags):
    """Run ``parts`` in the place of the real ones; returns the exit code."""
    monkeypatch.setattr(on_gpu, "parts_of", lambda work, small: parts)
    monkeypatch.setattr("sys.argv", ["on_gpu.py", *map(str, flags)])
    with pytest.raises(SystemExit) as ended:
        on_gpu.main()
    return int(ended.value.code)


def python(name, code, limit=60, says=""):
    return on_gpu.Part(name, limit, f"-c {shlex.quote(code)}", says)


def test_what_fails_or_takes_too_long_does_not_stop_the_rest(tmp_path, monkeypatch, capsys):
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 512\necho 2048\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}{os.pathsep}{os.environ['PATH']}")
    parts = [
        python("versions", "print('wrote /a/b.c/d.mp4  in 1 s')"),
        python("fails", "print('step: 1 s', flush=True); exit('broken')", says="step:"),
        python("wan_tile", "print('1 %\\r2 %\\nstep: 1 s | 2 GiB\\ndone')", says="step:"),
        python(
            "hangs",
            "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()",
            2.5,
        ),
        python("late", "print('late')"),
    ]
    assert look(monkeypatch, parts, "--budget", 12, tmp_path / "out") == 1
    report = (tmp_path / "out" / "report.md").read_text()
    for row in (
        r"versions \| 0 \| [\d.]+ \| 2\.0 \| wrote d\.mp4 in 1 s",
        r"fails \| 1 \| [\d.]+ \| 2\.0 \| broken",
        r"wan_tile \| 0 \| [\d.]+ \| 2\.0 \| step: 1 s \\\| 2 GiB",
        r"hangs \| too long \| [\d.]+ \| 2\.0 \| \d+",
        r"late \| no time left \| 0\.0 \|  \| ",
    ):
        assert re.search(rf"^\| {row} \|$", report, re.M), row
    assert "step: 1 s | 2 GiB\ndone\n```" in report and report in capsys.readouterr().out
    assert is_gone(int((tmp_path / "out" / "hangs.log").read_text()))


def is_gone(process):
    """Whether a process that was killed just now has ended."""
    for _ in range(100):
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_some_parts_only_and_a_machine_without_a_card(tmp_path, monkeypatch, capsys):
    parts = [python("versions", "print('card')"), python("one", "print(1)"), python("two", "print(2)")]
    assert look(monkeypatch, parts, "--small", tmp_path / "all") == 0
    assert look(monkeypatch, parts, "--small", tmp_path / "some", "two") == 0
    assert {log.name for log in (tmp_path / "some").glob("*.log")} == {"versions.log", "two.log"}
    assert look(monkeypatch, parts, tmp_path / "none", "three") == 2
    assert "no such parts: three" in capsys.readouterr().err
    parts[0] = python("versions", "exit('no CUDA device')")
    assert look(monkeypatch, parts, "--small", tmp_path / "bare") == 1
    assert not (tmp_path / "bare" / "one.log").exists() and "no CUDA device" in capsys.readouterr().out
