"""What counts as a finished result: made of numbers, and as its notes say."""

import json
import os
import shutil
from dataclasses import fields, replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from footage import film
from realis.commands.__main__ import run_upscale
from realis.commands.upscale import SAMPLE_FORMAT
from realis.data import photographs
from realis.methods.flags import make_config
from realis.methods.registry import find_method
from realis.models.hub import model_folder
from realis.upscaling.app import run
from realis.upscaling.app.loading import Loader
from realis.upscaling.app.plan import make_plan
from realis.upscaling.app.run import result_key
from realis.upscaling.interpolation import InterpolationUpscaler
from realis.video.results import sheet_file
from videos import contents, upscale


def test_what_is_not_finite_ends_the_run_and_nothing_of_it_counts(tmp_path, monkeypatch, capsys):
    source = film(tmp_path / "in.mp4", 20, (48, 64))

    class Overflowing(InterpolationUpscaler):
        calls = 0

        def upscale(self, frames, size, **others):
            Overflowing.calls += 1
            upscaled, carry = super().upscale(frames, size, **others)
            if Overflowing.calls == 2:
                upscaled[0, 0, 0, 0] = torch.nan
            return upscaled, carry

    monkeypatch.setattr(Loader, "upscaler", Overflowing())
    with pytest.raises(SystemExit) as stop:
        upscale(source, tmp_path / "out.mp4")
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 1 and "frames 8 to 15: the result is not finite; --dtype float32" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mp4.parts", "in.mp4"]
    upscale(source, tmp_path / "out.mp4")
    assert len(contents(tmp_path / "out.mp4")) == 20


def test_weights_that_are_not_finite_end_the_run(tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(model_folder("realis-tiny", text_encoder=False), model)
    file = model / "lr_decoder" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_file(weights, file)
    with pytest.raises(SystemExit) as stop:
        run_upscale([str(film(tmp_path / "in.mp4", 2, (48, 64))), "--target", "1x", "--model", str(model), "--output",
                     str(tmp_path / "out.mp4")])  # fmt: skip
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 1 and "the tile at row 0, column 0 is not finite" in line
    assert not (tmp_path / "out.mp4").exists()


def test_a_result_belongs_to_all_that_it_was_made_from(tmp_path, monkeypatch):
    """By it results are passed over and runs go on: what is left out here is taken for the same."""
    model, source = tmp_path / "model", film(tmp_path / "in.mp4", 2, (48, 64))
    shutil.copytree(model_folder("realis-tiny", text_encoder=False), model)
    cpc = shutil.copytree(model / "controlnet", tmp_path / "cpc")
    for name in ("prompt", "empty"):
        (tmp_path / name).write_bytes(b"embedding")
    config = make_config(model=str(model), cpc=str(cpc), prompt_embeds=str(tmp_path / "prompt"),
                           empty_prompt_embeds=str(tmp_path / "empty"))  # fmt: skip
    needs = find_method("cpc").needs(config.options, False)
    plan = make_plan(config, needs, SAMPLE_FORMAT, tmp_path / "out.mp4")
    key = result_key(config, source, plan)
    changed = {
        "the input": source,
        "content of --model": next((model / "transformer").glob("*.safetensors")),
        "content of --cpc": next(cpc.glob("*.safetensors")),
        "content of --prompt_embeds": tmp_path / "prompt",
        "content of --empty_prompt_embeds": tmp_path / "empty",
    }
    for name, file in changed.items():
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        now = result_key(config, source, plan)
        assert {one for one in key if now[one] != key[one]} == {name}
        key = now
    monkeypatch.setattr(run, "version", lambda _: "0")
    assert result_key(config, source, plan)["realis"] == "0" != key["realis"]
    other = replace(config, start="1", duration="2")
    assert result_key(other, source, plan)["the part"] == "from 1s to 3s" != key["the part"]
    free = {"input", "output", "start", "duration", "device", "offload", "prompt_file", "compare", "preview", "restart",
            "dry_run", "strict", "control_cache", "prompt_embeds", "empty_prompt_embeds", "options"}  # fmt: skip
    assert {one.name for one in (*fields(config), *fields(config.options))} - key.keys() == free


@pytest.mark.parametrize("harm", ["emptied", "cut", "replaced"])
def test_a_result_that_was_harmed_is_made_again(tmp_path, harm):
    source, output = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out.mp4"
    upscale(source, output)
    whole = output.read_bytes()
    if harm == "replaced":  # by as many bytes
        output.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        output.write_bytes(whole[: len(whole) // 2 * (harm == "cut")])
    upscale(source, output)
    assert output.read_bytes() == whole


def test_a_result_that_was_only_copied_is_not_made_again(tmp_path, capsys):
    source, output = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out.mp4"
    upscale(source, output)
    os.utime(output, (1, 1))
    upscale(source, output)
    assert "is there already" in capsys.readouterr().err and output.stat().st_mtime == 1


def test_a_folder_with_an_image_missing_is_made_again(tmp_path, capsys):
    source, output = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out"
    upscale(source, output, "--codec", "png")
    upscale(source, output, "--codec", "png")
    assert "is there already" in capsys.readouterr().err
    (output / "000003.png").unlink()
    upscale(source, output, "--codec", "png")
    assert len(list(output.iterdir())) == 6


@pytest.mark.parametrize("flags", [[], ["--restart"]])
def test_files_of_others_in_a_folder_of_results_stay(tmp_path, capsys, flags):
    source, output = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out"
    upscale(source, output, "--codec", "png")
    (output / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit):
        upscale(source, output, "--codec", "png", *flags)
    assert "has files in it that no run of this command made" in capsys.readouterr().err.splitlines()[-1]
    assert (output / "mine.txt").read_text() == "mine"


def test_notes_never_vouch_for_another_result(tmp_path, monkeypatch):
    """A run that is killed between the result's name and its notes leaves none."""
    source, output = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out.mp4"
    upscale(source, output)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("realis.video.write.note_result", killed)
    with pytest.raises(SystemExit):
        upscale(source, output, "--crf", "40", "--restart")
    assert not (tmp_path / "out.mp4.json").exists()
    small = output.stat().st_size
    monkeypatch.undo()
    upscale(source, output, "--crf", "40")
    assert (
        output.stat().st_size == small and json.loads((tmp_path / "out.mp4.json").read_text())["made from"]["crf"] == 40
    )


def test_an_input_that_changes_while_it_is_read_gives_no_result(tmp_path, monkeypatch, capsys):
    source, output = film(tmp_path / "in.mp4", 20, (48, 64)), tmp_path / "out.mp4"
    other = film(tmp_path / "other.mp4", 20, (48, 64), place=3).read_bytes()

    class Replaced(InterpolationUpscaler):
        def upscale(self, frames, size, **others):
            source.write_bytes(other)
            return super().upscale(frames, size, **others)

    monkeypatch.setattr(Loader, "upscaler", Replaced())
    with pytest.raises(SystemExit) as stop:
        upscale(source, output)
    assert stop.value.code == 2 and "in.mp4: was changed while it was read" in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()
    upscale(source, output, "--restart")
    assert len(contents(output)) == 20


def test_what_others_made_and_other_results_are_not_replaced(tmp_path, capsys):
    source, output, both = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out.mp4", tmp_path / "both.mp4"
    output.write_bytes(b"mine")
    with pytest.raises(SystemExit) as stop:
        upscale(source, output, "--restart")
    assert (
        stop.value.code == 2 and "is there that no run of this command made" in capsys.readouterr().err.splitlines()[-1]
    )
    assert output.read_bytes() == b"mine"
    output.unlink()
    both.write_bytes(b"mine")
    with pytest.raises(SystemExit):
        upscale(source, output, "--compare", str(both))
    assert both.read_bytes() == b"mine" and not output.exists()
    upscale(source, output)
    made = output.read_bytes()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        upscale(source, output, "--crf", "40")
    line = capsys.readouterr().err.splitlines()[-1]
    assert "is there already, but crf was -1, now 40; --restart makes it anew" in line and output.read_bytes() == made
    upscale(source, output, "--crf", "40", "--restart")
    assert output.read_bytes() != made


def test_a_file_by_the_name_of_the_sample_clip_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(photographs, "sample_clip", lambda: torch.zeros(2, 3, *SAMPLE_FORMAT.size))
    words, sample = ["--method", "bicubic", "--target", "1x"], tmp_path / "out" / "sample.mp4"
    run_upscale(words)
    run_upscale(words)
    assert "there already" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "out" / "sample.mp4.json").unlink()
    sample.write_bytes(b"mine")
    with pytest.raises(SystemExit):
        run_upscale(words)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "out/sample.mp4: is there, and is not the sample clip as this version renders it" in line
    assert sample.read_bytes() == b"mine"


def upscale_one_segment(source, output, monkeypatch, *flags):
    """As :func:`upscale`, stopped by Ctrl-C when the second one has begun."""

    class Stopped(InterpolationUpscaler):
        calls = 0

        def upscale(self, frames, size, **others):
            Stopped.calls += 1
            if Stopped.calls == 2:
                raise KeyboardInterrupt
            return super().upscale(frames, size, **others)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Loader, "upscaler", Stopped())
        upscale(source, output, *flags)


@pytest.mark.parametrize("flags", [[], ["--restart"]])
def test_a_file_of_others_is_not_replaced_where_a_run_was_stopped(tmp_path, monkeypatch, capsys, flags):
    source, output = film(tmp_path / "in.mp4", 20, (48, 64)), tmp_path / "out.mp4"
    upscale_one_segment(source, output, monkeypatch)
    output.write_bytes(b"mine")
    with pytest.raises(SystemExit) as stop:
        upscale(source, output, *flags)
    assert stop.value.code == 2 and "no run of this command made" in capsys.readouterr().err.splitlines()[-1]
    assert output.read_bytes() == b"mine"
    output.unlink()
    upscale(source, output)
    assert "of an earlier run" in capsys.readouterr().err and len(contents(output)) == 20


def test_a_run_that_began_to_replace_a_result_goes_on(tmp_path, monkeypatch, capsys):
    source, output = film(tmp_path / "in.mp4", 20, (48, 64)), tmp_path / "out.mp4"
    upscale(source, output)
    upscale_one_segment(source, output, monkeypatch, "--crf", "40", "--restart")
    upscale(source, output, "--crf", "40")
    assert "of an earlier run" in capsys.readouterr().err
    assert json.loads((tmp_path / "out.mp4.json").read_text())["made from"]["crf"] == 40


def test_a_pipe_is_not_replaced(tmp_path, capsys):
    os.mkfifo(tmp_path / "out.mp4")
    with pytest.raises(SystemExit):
        upscale(film(tmp_path / "in.mp4", 2, (48, 64)), tmp_path / "out.mp4")
    assert "out.mp4 is a pipe or device, wanted a file" in capsys.readouterr().err.splitlines()[-1]


def test_a_picture_of_others_by_the_name_of_the_sheet_stays(tmp_path, capsys):
    source, output = film(tmp_path / "in.mp4", 2, (48, 64)), tmp_path / "out.mp4"
    mine = tmp_path / "out.mp4_before_after.png"
    Image.new("RGB", (8, 8)).save(mine)
    before = mine.read_bytes()
    with pytest.raises(SystemExit) as stop:
        upscale(source, output)
    assert stop.value.code == 2 and "would take the place of" in capsys.readouterr().err.splitlines()[-1]
    assert mine.read_bytes() == before and not output.exists()
    mine.unlink()
    upscale(source, output)
    upscale(source, output, "--restart")
    assert mine.exists()


def test_pictures_of_another_result_are_not_replaced_unasked(tmp_path, capsys):
    """Nor taken for those of this one: the sheet beside it, and the video that --compare names."""
    source, output, both = film(tmp_path / "in.mp4", 6, (48, 64)), tmp_path / "out.mp4", tmp_path / "both.mp4"
    sheet, notes, flags = sheet_file(output), tmp_path / "out.mp4.json", ["--compare", str(both)]
    upscale(source, output, *flags)
    made = {file: file.read_bytes() for file in (sheet, both)}

    # 1. Of the same result: passed over, or made again with it
    upscale(source, output, *flags)
    assert "there already" in capsys.readouterr().err.splitlines()[-1]
    output.unlink()
    upscale(source, output, *flags)
    assert f"wrote {output} and {sheet}" in capsys.readouterr().err.splitlines()[-1]

    # 2. Of another, which somebody has removed: the picture goes with it, the comparison is refused or made anew
    output.rename(tmp_path / "before.mp4")
    notes.unlink()
    with pytest.raises(SystemExit) as stop:
        upscale(source, output, "--crf", "40", *flags)
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and f"--compare {both}: is there already, but crf was -1, now 40" in line
    assert both.read_bytes() == made[both] and not output.exists() and "--restart makes it anew" in line
    upscale(source, output, "--crf", "40", "--restart", *flags)
    assert both.read_bytes() != made[both]

    # 3. What a run that was killed after its result left of the one before does not belong to it
    sheet.write_bytes(made[sheet])
    upscale(source, output, "--crf", "40")
    assert sheet.read_bytes() != made[sheet]


def test_a_result_is_not_replaced_by_a_comparison(tmp_path, capsys):
    source, output = film(tmp_path / "in.mp4", 2, (48, 64)), tmp_path / "out.mp4"
    upscale(source, output)
    made = output.read_bytes()
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "other.mp4", "--compare", str(output))
    assert f"--compare {output}: is there already, but beside bicubic" in capsys.readouterr().err.splitlines()[-1]
    assert output.read_bytes() == made
