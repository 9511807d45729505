"""The Stable Diffusion x4 upscaler as a method: equal to diffusers' pipeline; tiles, segments and batches; what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file

from reads import unread_fields
from realis.commands.__main__ import run_plan, run_upscale
from realis.commands.upscale import upscale as upscale_command
from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.method import METHOD
from realis.comparators.sd_x4.upscaler import SdX4Upscaler
from realis.core.errors import InputError
from realis.diffusion.v_prediction import NoiseSchedule
from realis.methods.flags import make_config, parse_upscale
from realis.models.hub import read_json
from realis.models.sd_x4.files import TOKENS
from realis.models.sd_x4.loading import SdX4
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from realis.upscaling.app.plan import weights_memory
from realis.upscaling.stream import Frame, segment_noise, upscale_stream
from realis.video.encoding import Encoding
from realis.video.fingerprint import fingerprint
from realis.video.write import SegmentWriter
from small_sd_x4 import PUBLIC_UNET, PUBLIC_VAE, TEXT_DIM, UNET

SIZE = (8, 12)  # height, width of the LR


def lr_frames(count=2, size=SIZE):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def config_of(folder, **flags):
    return SdX4Config(str(folder), **{"steps": 2, **flags})


def loaded(folder, prompt="", placement=None, **flags):
    return METHOD.load(config_of(folder, **flags), placement or Placement(), [prompt])


def upscale(upscaler, frames, prompt="", noise=None):
    """What the method makes of a segment, planned as the command plans it."""
    needs, shares = upscaler.needs, []
    size = needs.native_size(frames.shape[-2:], frames.shape[-2:])
    tiles = plan_tiles(size, needs.tile, needs.tile_overlap, needs.multiple)
    upscaled, carry = upscaler.upscale(
        frames, size, tiles=tiles, noise=noise or segment_noise(needs, 0, 0, len(frames), tiles), carry={},
        prompt=prompt, advance=shares.append,
    )  # fmt: skip
    assert carry == {} and sum(shares) == pytest.approx(1) and upscaled.shape == (len(frames), 3, *size)
    return upscaled


@pytest.fixture(scope="module")
def pipeline(sd_x4_folder):
    """Upstream's, of the same folder."""
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(sd_x4_folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def plain_folder(sd_x4_folder, tmp_path_factory):
    """The same without noise levels and without a text encoder."""
    folder = shutil.copytree(sd_x4_folder, tmp_path_factory.mktemp("plain") / "model")
    for name in ("text_encoder", "tokenizer", "low_res_scheduler"):
        shutil.rmtree(folder / name)
    (folder / "model_index.json").unlink()
    torch.manual_seed(0)
    UNet2DConditionModel(**UNET | {"num_class_embeds": None}).save_pretrained(folder / "unet")
    return folder


@pytest.fixture
def copied(sd_x4_folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(sd_x4_folder, tmp_path / "model")


def test_sizes_are_those_of_the_public_networks():
    def millions(network):
        return round(sum(weight.numel() for weight in network.parameters()) / 1e6, 3)

    with torch.device("meta"):
        assert millions(UNet2DConditionModel(**PUBLIC_UNET, num_class_embeds=1000)) == 473.398
        assert millions(UNet2DConditionModel(**PUBLIC_UNET)) == 472.374
        assert millions(AutoencoderKL(**PUBLIC_VAE).decoder) == 32.965


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_frames_are_those_of_the_pipeline_of_diffusers(sd_x4_folder, pipeline, monkeypatch, sampler, guidance):
    if sampler == "ddpm":
        monkeypatch.setattr(pipeline, "scheduler", DDPMScheduler.from_config(pipeline.scheduler.config))
    frames, latents = lr_frames(), torch.randn(2, 4, *SIZE, generator=torch.Generator().manual_seed(2))
    expected = pipeline(
        ["a cat"] * 2, frames, num_inference_steps=3, guidance_scale=guidance, negative_prompt=["blurry"] * 2,
        latents=latents, generator=torch.Generator().manual_seed(0), output_type="pt",
    ).images  # fmt: skip

    def same_draws():
        generator = torch.Generator().manual_seed(0)
        yield latents.transpose(0, 1)
        yield torch.randn(2, 3, *SIZE, generator=generator).transpose(0, 1)
        while True:
            yield torch.randn(latents.shape, generator=generator).transpose(0, 1)

    flags = {"steps": 3, "sampler": sampler, "guidance": guidance, "negative_prompt": "blurry", "batch": 2}
    upscaler = loaded(sd_x4_folder, "a cat", **flags)
    assert upscaler.needs.settings == {"steps": 3, "noise_level": 20}
    upscaled = upscale(upscaler, frames, "a cat", same_draws())
    torch.testing.assert_close(upscaled, expected, atol=1e-5, rtol=0)
    assert ((upscaled > 0) & (upscaled < 1)).float().mean() > 0.8  # not by being clamped

    # What it is told matters
    flags |= {"negative_prompt": "sharp"} if guidance > 1 else {"noise_level": 200}
    changed = upscale(loaded(sd_x4_folder, "a cat", **flags), frames, "a cat", same_draws())
    assert (changed - upscaled).abs().max() > 1e-3


def test_a_network_without_noise_levels_takes_the_lr_as_it_is(plain_folder):
    frames = lr_frames()
    upscaler = loaded(plain_folder)
    assert upscaler.needs.settings["noise_level"] == "off" and not upscaler.needs.text
    (z,), unet, vae = torch.randn(1, 2, 4, *SIZE), upscaler.model.unet, upscaler.model.vae
    expected, empty = z, torch.zeros(2, TOKENS, TEXT_DIM)
    with torch.no_grad():
        for step in NoiseSchedule(read_json(plain_folder / "scheduler" / "scheduler_config.json")).steps(2, "ddim"):
            inputs = torch.cat((expected, frames * 2 - 1), dim=1)
            expected = step.advance(expected, unet(inputs, step.timestep, encoder_hidden_states=empty).sample, None)
        expected = (vae.decode(expected / 0.08333).sample / 2 + 0.5).clamp(0, 1)
    upscaled = upscale(upscaler, frames, noise=iter([z.transpose(0, 1)]))
    torch.testing.assert_close(upscaled, expected, atol=1e-5, rtol=0)


def test_noise_levels_of_a_network_may_be_left_out(copied):
    """Then it is the same network without an embedding of them, and what its LR is noised by is not read."""
    shutil.rmtree(copied / "low_res_scheduler")
    with pytest.raises(InputError, match=r"noise-level: got auto, wanted off, as .* has no low_res_scheduler/"):
        METHOD.needs(config_of(copied), False)
    frames = lr_frames(1)
    off = loaded(copied, noise_level="off")
    assert off.needs.settings["noise_level"] == "off" and "noise level" not in off.needs.sampling
    upscaled = upscale(off, frames)
    weights = load_file(copied / "unet" / "diffusion_pytorch_model.safetensors")
    del weights["class_embedding.weight"]
    without = UNet2DConditionModel(**UNET | {"num_class_embeds": None})
    without.load_state_dict(weights)
    without.save_pretrained(copied / "unet")
    assert torch.equal(upscale(loaded(copied), frames), upscaled)


class Pixelwise(torch.nn.Module):
    """In place of the UNet: every cell for itself."""

    class_embedding, dtype = None, torch.float32

    def forward(self, sample, timestep, encoder_hidden_states, class_labels):
        z, lr = sample[:, :4], sample[:, 4:]
        return SimpleNamespace(sample=torch.tanh(z + lr.mean(dim=1, keepdim=True)) * timestep.view(-1, 1, 1, 1) / 1000)


class Enlarging(torch.nn.Module):
    """In place of the VAE: every cell becomes a square."""

    config, dtype = SimpleNamespace(scaling_factor=1.0), torch.float32

    def decode(self, latents):
        return SimpleNamespace(sample=latents[:, :3].repeat_interleave(4, -1).repeat_interleave(4, -2))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("size", [(40, 56), (5, 37)])
def test_tiles_are_the_whole_where_no_cell_sees_another(sd_x4_folder, sampler, size):
    results = []
    for tile in (512, 64):
        upscaler = loaded(sd_x4_folder, tile_height=tile, tile_width=tile, tile_overlap=16, sampler=sampler)
        upscaler.model = replace(upscaler.model, unet=Pixelwise(), vae=Enlarging())
        results.append(upscale(upscaler, lr_frames(size=size)))
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)
    assert results[0].std() > 0.1


def test_frames_depend_neither_on_segments_nor_on_batches(sd_x4_folder):
    """Of 3 frames of 8x5 pixels, in tiles, with noise at every step."""
    frames, results = lr_frames(3, (5, 8)), []
    for number, batch in ((1, 1), (3, 1), (3, 3)):
        flags = {"sampler": "ddpm", "segment_frames": number, "batch": batch}
        upscaler = loaded(sd_x4_folder, tile_width=24, tile_overlap=8, **flags)
        tiles = plan_tiles((20, 32), upscaler.needs.tile, 8, upscaler.needs.multiple)
        assert len(tiles) == 2
        segments = list(upscale_stream(upscaler, [Frame(f) for f in frames], (20, 32), tiles, 0, lambda share: None))
        assert len(segments) == 3 // number
        results.append(torch.cat([segment.frames for segment in segments]))
    one, three, batched = results
    assert torch.equal(one, three) and not torch.equal(one[0], one[1])
    torch.testing.assert_close(batched, one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("placement", [Placement(offload=True), Placement(dtype="bfloat16"), Placement(fp8=True)])
def test_placements_change_little(sd_x4_folder, placement):
    frames = lr_frames(1)
    upscaler = loaded(sd_x4_folder, placement=placement)
    assert upscaler.model.vae.dtype == torch.float32
    difference = (upscale(upscaler, frames) - upscale(loaded(sd_x4_folder), frames)).abs()
    assert difference.mean() <= (1e-6 if placement.offload else 0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_empty_prompt_is_embedded_once_and_then_read(copied, tmp_path, dtype):
    """By the text encoder in float32, whatever the dtype of the network, so that it is the same from both."""
    file, place = tmp_path / "embeds" / "empty.safetensors", Placement(dtype=dtype)

    def embeds(prompts=("",), **flags):
        return METHOD.load(config_of(copied, **flags), place, prompts).model.prompts[""]

    flags, network = {"empty_prompt_embeds": str(file)}, getattr(torch, dtype)
    expected = embeds()
    assert expected.dtype == network and torch.equal(embeds(("", "a longer prompt")), expected)
    assert torch.equal(embeds(**flags), expected)
    stored = load_file(file)["empty_prompt"]
    assert stored.dtype == torch.float32 and torch.equal(stored[None].to(network), expected)
    shutil.rmtree(copied / "text_encoder")
    assert torch.equal(embeds(**flags), expected)
    save_file({"other": stored + 1}, file)
    assert not torch.equal(embeds(**flags), expected)


def content_key(config):
    """What a result depends on, of the files of a model."""
    needs = METHOD.needs(config, False)
    return {name: fingerprint(path, needs.parts.get(path, ())) for name, path in needs.weights.items()}


def test_a_result_is_the_same_before_and_after_the_empty_prompt_is_written(copied, tmp_path):
    file = tmp_path / "empty.safetensors"
    config = config_of(copied, empty_prompt_embeds=str(file))
    before = content_key(config)
    assert not file.exists()  # asking for what it needs writes nothing
    METHOD.load(config, Placement(), [""])
    assert file.is_file() and content_key(config) == before
    own = file.read_bytes()
    save_file({"other": load_file(file)["empty_prompt"] + 1}, file)
    assert content_key(config) != before
    file.write_bytes(own)
    with (copied / "text_encoder" / "config.json").open("a") as other_encoder:
        other_encoder.write("\n")
    assert content_key(config) != before


def test_a_run_that_was_stopped_goes_on_with_the_embedding_that_it_wrote(sd_x4_folder, tmp_path, monkeypatch, capsys):
    clip, output, file = tmp_path / "clip.mp4", tmp_path / "out.mp4", tmp_path / "embeds" / "empty.safetensors"
    with SegmentWriter(clip, (16, 24), Fraction(25), Encoding()) as sink:
        sink.write(0, np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3)).astype(np.uint8))
    words = ["--input", str(clip), "--output", str(output), "--method", "sd_x4", "--sd-x4.model", str(sd_x4_folder),
             "--sd-x4.steps", "2", "--sd-x4.segment-frames", "1", "--sd-x4.empty-prompt-embeds", str(file)]  # fmt: skip
    done, upscale_segment = [], SdX4Upscaler.upscale

    def stopped(*args, **given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return upscale_segment(*args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(SdX4Upscaler, "upscale", stopped)
        with pytest.raises(SystemExit):
            run_upscale(words)
    assert file.is_file() and not output.exists()
    capsys.readouterr()
    run_upscale(words)
    assert "going on from frame" in capsys.readouterr().err and output.exists()


def test_wrong_files_of_the_empty_prompt_are_named(copied, tmp_path):
    file = tmp_path / "empty.safetensors"
    save_file({"other": torch.zeros(3, TEXT_DIM)}, file)
    with pytest.raises(InputError, match=r"embeds .*: got tensors of shapes \[\[3, 16\]\], wanted one of 77x16"):
        loaded(copied, empty_prompt_embeds=str(file))
    file.write_text("no tensors")
    with pytest.raises(InputError, match=r"^--sd-x4.empty-prompt-embeds .*: damaged"):
        loaded(copied, empty_prompt_embeds=str(file))
    shutil.rmtree(copied / "text_encoder")
    with pytest.raises(InputError, match=r"nothing there, and .* has no text encoder to write it"):
        loaded(copied, empty_prompt_embeds=str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="names a text encoder, which is not there"):
        loaded(copied)


def test_prompts_that_are_cut_are_logged_once(sd_x4_folder, caplog):
    loaded(sd_x4_folder, "b" * 75)
    assert not caplog.records
    METHOD.load(config_of(sd_x4_folder), Placement(), ["cat", "b" * 76, "a" * 100])
    (record,) = caplog.records
    said = f"2 prompts cut at the 77 tokens that the text encoder reads, the first: '{'b' * 76}'"
    assert record.getMessage() == said


def test_the_first_prompt_that_cannot_be_read_is_named(plain_folder):
    with pytest.raises(InputError, match=r"^prompt: got 'a dog', but"):
        SdX4(plain_folder, torch.float32, "cpu").encode_prompts(["", "a dog", "a zebra"])


def test_only_parts_that_are_read_count(copied):
    def counted():
        needs = METHOD.needs(config_of(copied), False)
        return weights_memory(needs), fingerprint(copied, needs.parts[copied])

    before = counted()
    in_float32 = [*load_file(copied / "vae" / "diffusion_pytorch_model.safetensors").values(),
                  *load_file(copied / "text_encoder" / "model.safetensors").values()]  # fmt: skip
    unet = (copied / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert before[0] == 4 * sum(weight.numel() for weight in in_float32) + unet
    shutil.copy(copied / "unet" / "diffusion_pytorch_model.safetensors", copied / "x4-upscaler-ema.safetensors")
    assert counted() == before
    (copied / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_text("damaged")
    assert counted()[0] == before[0]
    upscale(loaded(copied), lr_frames(1))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"steps": -1}, "--sd-x4.steps: got -1, wanted 0 or more"),
        ({"batch": 0}, "--sd-x4.batch: got 0, wanted 1 or more"),
        ({"noise_level": -1}, "--sd-x4.noise-level: got -1, wanted 0 or more, auto or off"),
        ({"tile_overlap": 512}, "--sd-x4.tile-overlap: got 512, wanted less than a tile, 512"),
        ({"tile_width": 100}, "--sd-x4.tile-width: got 100, wanted a multiple of 8 for"),
        ({"noise_level": 1000}, "--sd-x4.noise-level: got 1000, wanted up to 999"),
        ({"steps": 1000}, "--sd-x4.steps: got 1000, wanted up to 999"),
        ({"model": "nowhere"}, "--sd-x4.model: got 'nowhere', which is no folder"),
    ],
)
def test_wrong_flags_are_named(sd_x4_folder, flags, message):
    with pytest.raises(InputError, match=message):
        METHOD.needs(SdX4Config(**{"model": str(sd_x4_folder), **flags}), False)


@pytest.mark.parametrize(
    ("flags", "prompted", "message"),
    [
        ({}, True, "--prompt, --prompt-file: .* has no text encoder; leave it out"),
        ({"negative_prompt": "x", "guidance": 2.0}, False, "--sd-x4.negative-prompt: .* has no text encoder"),
        ({"noise_level": 20}, False, "--sd-x4.noise-level: got 20, wanted auto or off, as the network"),
    ],
)
def test_what_the_model_does_not_take_is_refused(plain_folder, flags, prompted, message):
    with pytest.raises(InputError, match=message):
        METHOD.needs(config_of(plain_folder, **flags), prompted)


def test_what_is_not_for_this_network_is_refused(sd_x4_folder):
    with pytest.raises(InputError, match="--attention: --method sd_x4 does not use it"):
        loaded(sd_x4_folder, placement=Placement(attention="flash"))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "got 'epsilon', wanted v_prediction"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "x"}, "num_train_timesteps: got 'x', wanted 2 to"),
        ("scheduler/scheduler_config.json", {"steps": 0.5}, "steps: got 0.5, wanted 1 to"),
        (
            "scheduler/scheduler_config.json",
            {"strength": 1.5},
            "scheduler_config.json: strength: got 1.5, wanted 0 to 1",
        ),
        ("scheduler/scheduler_config.json", {"steps": 1000}, "scheduler_config.json: steps: got 1000, wanted 1 to 999"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "x"}, "no schedule can be made of it"),
        ("low_res_scheduler/scheduler_config.json", {"beta_schedule": "x"}, "low_res.*no schedule can be"),
        ("unet/config.json", {"in_channels": 4}, "not an x4 upscaler of Stable Diffusion"),
        ("unet/config.json", {"num_class_embeds": "x"}, "num_class_embeds: got 'x'"),
        ("unet/config.json", {"cross_attention_dim": 32}, "hidden_size: got 16, wanted 32, the cross_attention_dim"),
        ("text_encoder/config.json", {"hidden_size": "x"}, "text_encoder.*: hidden_size: got 'x', wanted 1 to"),
        ("unet/config.json", {"attention_head_dim": "x"}, "UNet2DConditionModel"),
        ("unet/config.json", {"block_out_channels": [8, "16"]}, r"got \[8, '16'\], wanted 1 to 8 whole numbers"),
        ("unet/config.json", {"block_out_channels": [1] * 9}, "channels: got .* wanted 1 to 8 whole numbers"),
        ("vae/config.json", {"block_out_channels": 3}, "channels: got 3, wanted 1 to 8 whole numbers"),
        ("vae/config.json", {"block_out_channels": [4, 8, True]}, "channels: got .*True"),
        ("vae/config.json", {"block_out_channels": [4, 8]}, "not an x4 upscaler of Stable Diffusion"),
        ("vae/config.json", {"scaling_factor": 0.18215}, "vae.*: scaling_factor: got 0.18215, wanted 0.08333"),
        ("vae/config.json", {"scaling_factor": None}, "scaling_factor: got None, wanted 0.08333"),
        ("vae/config.json", {"layers_per_block": 2}, "do not fit AutoencoderKL: .* missing keys"),
    ],
)
def test_a_model_of_another_kind_is_refused(copied, file, change, message):
    (copied / file).write_text(json.dumps(json.loads((copied / file).read_text()) | change))
    with pytest.raises(InputError, match=message):
        loaded(copied)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_do_not_fit_are_refused(copied, part):
    (file,) = (copied / part).glob("*.safetensors")
    whole = load_file(file)
    name = next(iter(whole))
    for tensors, said in (
        ({k: v for k, v in whole.items() if k != name}, "1 missing"),
        (whole | {"other": torch.zeros(1)}, "1 unexpected"),
        (whole | {name: torch.zeros(1, 2, 3)}, ""),
    ):
        save_file(tensors, file, {"format": "pt"})
        with pytest.raises(InputError, match=f"{copied / part}.*{said}"):
            loaded(copied)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{file}: damaged"):
        METHOD.needs(config_of(copied), False)


def test_help_and_refusals_come_without_torch(plain_folder, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    (tmp_path / "empty").mkdir()
    code = (
        "import sys\nfrom realis.commands.__main__ import run_upscale\n"
        "for words in (['--help'], ['--sd-x4.model', 'empty'], ['--sd-x4.steps', '-1'], ['--sd-x4.noise-level', 'x'],\n"
        f"              ['--sd-x4.model', {str(plain_folder)!r}, '--prompt', 'a cat']):\n"
        "    try:\n        run_upscale(['--input', 'in.png', '--method', 'sd_x4', *words])\n"
        "    except SystemExit as stop:\n        print(stop.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert "--sd-x4.noise-level" in done.stdout and lines[0] == "0 False"
    assert lines[2::2] == ["2 False"] * 4 and all(line.startswith("realis: ") for line in lines[1::2])
    assert "--sd-x4.noise-level: got 'x', wanted a whole number or auto,off" in lines[5]


def test_the_command_upscales_by_it_and_reads_every_flag(sd_x4_folder, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number, frame in enumerate((lr_frames(3, (6, 9)) * 255).byte()):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(tmp_path / "in" / f"{number}.png")
    words = [
        "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--target", "3x", "--device", "cpu",
        "--method", "sd_x4", "--sd-x4.model", str(sd_x4_folder), "--sd-x4.steps", "2", "--sd-x4.guidance", "2",
        "--sd-x4.segment-frames", "2", "--sd-x4.tile-width", "24", "--sd-x4.tile-overlap", "8", "--dtype", "float32",
    ]  # fmt: skip
    config = parse_upscale(words)
    with unread_fields(SdX4Config) as unread:
        upscale_command(config)
    assert unread == set()
    upscaled = [np.asarray(Image.open(tmp_path / "out" / f"{number}.png")) for number in range(3)]
    assert all(image.shape == (18, 27, 3) and image.std() > 10 for image in upscaled)

    run_plan(words)
    said = capsys.readouterr().err
    assert "sd_x4 makes 36x24, which is resized" in said
    assert "2 segments of up to 2 frames, each in 2 tiles of 24x24, 2 steps of ddim, noise level 20, guidance 2" in said
    assert "KiB for the model" in said and "of memory" in said
    key = json.loads((tmp_path / "out.json").read_text())["made from"]
    assert key["sd-x4.noise_level"] == 20 and key["sd-x4.steps"] == 2 and "content of --sd-x4.model" in key


def test_its_flags_have_their_prefix_in_python_too():
    assert make_config("sd_x4", noise_level=5).options == SdX4Config(noise_level=5)
