"""How Wan2.1 counts frames, cells and tokens: against the models themselves, and what is refused for it."""

import contextlib

import pytest
import torch

from command_lines import ROOT
from realis.commands.train_cpc import ControlConfig, TrainCpcConfig
from realis.core.config import parse
from realis.core.errors import InputError
from realis.data.clips_config import ClipsConfig
from realis.losses.config import HrLossConfig
from realis.models.hub import PRESETS
from realis.models.wan.geometry import FRAMES, has_whole_latents, latent_frame, latent_size, phase, tokens, video_size
from realis.models.wan.latents import decode_video, encode_video
from realis.models.wan.loading import Wan


def test_latents_tokens_and_video_are_of_the_size_that_the_models_make(transformer):
    wan, size = Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu"), (9, 32, 48)
    with torch.no_grad():
        latents = encode_video(wan.vae, torch.zeros(1, 3, *size))
        assert latents.shape[2:] == latent_size(*size)
        assert video_size(*latent_size(*size)) == decode_video(wan.vae, latents).shape[2:] == size
        assert tokens(*size) == transformer.patch_embedding(latents).flatten(2).shape[2]


def test_a_frame_stands_at_its_phase_in_the_latent_frame_that_covers_it():
    assert [latent_frame(i) for i in range(10)] == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert [phase(i) for i in range(10)] == [0, 1, 2, 3, 4, 1, 2, 3, 4, 1]
    assert [n for n in range(-4, 14) if has_whole_latents(n)] == [1, 5, 9, 13]
    for frames in range(1, 20, FRAMES):
        assert latent_size(frames, 8, 8)[0] == latent_frame(frames - 1) + 1


@pytest.mark.parametrize(
    ("clips", "loss", "message"),
    [
        ({"frames": 48}, {}, "--clips.frames: got 48, wanted 4 n [+] 1, such as 49"),
        ({"buckets": ("832x480", "100x64")}, {}, "--clips.buckets: got 100x64, wanted WIDTHxHEIGHT in multiples of 32"),
        ({"buckets": ("1280x720",)}, {}, "multiples of 32"),
        ({"buckets": ("1280x720",)}, {"cell": 2}, ""),
        ({"buckets": ("1280x720",)}, {"hog": 0.0}, ""),
        ({"buckets": ("1280x728",)}, {"hog": 0.0}, "multiples of 16"),
    ],
)
def test_clips_that_the_model_does_not_take_whole_are_refused_by_its_command(clips, loss, message):
    footage = ClipsConfig(manifest="train.jsonl", **clips)  # which knows no model
    with pytest.raises(InputError, match=message) if message else contextlib.nullcontext():
        TrainCpcConfig(clips=footage, loss=HrLossConfig(**loss))


def test_the_720p_recipe_trains_the_papers_single_pass():
    """The first bucket becomes the window of the export, which inference uses at a time; no other has more tokens."""
    config = parse(TrainCpcConfig, [str(ROOT / "train" / "recipes" / "cpc_1.3b_720p.yaml")], "train_cpc.py")
    counts = [tokens(config.clips.frames, *size) for size in config.clips.sizes]
    assert config.window == (49, 720, 1280) and counts[0] == max(counts) == 46_800
    assert min(counts) > 0.98 * 46_800 and not any(n % config.run.sequence_parallel for n in counts)


@pytest.mark.parametrize("window", [(48, 64, 64), (9, 64, 72), (9, 0, 64), (0, 64, 64)])
def test_a_window_that_is_no_whole_tokens_is_refused(window):
    with pytest.raises(InputError, match=r"--controlnet\.window"):
        ControlConfig(window=window)
