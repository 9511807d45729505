"""A small random model in the layout of stabilityai/stable-diffusion-x4-upscaler, written by diffusers' own pipeline."""

import json

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_DIM = 16
UNET = {
    "sample_size": 16, "in_channels": 7, "out_channels": 4, "block_out_channels": [8, 16], "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 4, "cross_attention_dim": TEXT_DIM, "norm_num_groups": 4, "num_class_embeds": 1000,
    "only_cross_attention": [True, False], "use_linear_projection": True,
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "block_out_channels": [4, 8, 8], "layers_per_block": 1, "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3, "norm_num_groups": 2,
    "scaling_factor": 0.08333,
}  # fmt: skip
PUBLIC_UNET = {  # of stabilityai/stable-diffusion-x4-upscaler
    "in_channels": 7, "out_channels": 4, "block_out_channels": [256, 512, 512, 1024], "cross_attention_dim": 1024,
    "attention_head_dim": 8, "only_cross_attention": [True, True, True, False], "use_linear_projection": True,
    "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 3],
    "up_block_types": [*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"],
}  # fmt: skip
PUBLIC_VAE = {
    "block_out_channels": [128, 256, 512], "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
}  # fmt: skip
SCHEDULE = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction",
            "clip_sample": False}  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def small_tokenizer(folder):
    """CLIP's tokenizer over letters: a word is as many tokens as it has letters."""
    names = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def small_text_encoder():
    config = CLIPTextConfig(
        vocab_size=2 + 2 * len(LETTERS), hidden_size=TEXT_DIM, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return CLIPTextModel(config)


def louder(network, gain):
    """The network with weights so large that what it is told matters."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.mul_(gain)
    return network.eval()


def save_small_model(folder):
    """Write the model into ``folder``, which is returned."""
    torch.manual_seed(0)
    vocabulary = folder.with_name("vocabulary")
    vocabulary.mkdir()
    pipeline = StableDiffusionUpscalePipeline(
        vae=louder(AutoencoderKL(**VAE), 1.5),
        text_encoder=small_text_encoder().eval(),
        tokenizer=small_tokenizer(vocabulary),
        unet=louder(UNet2DConditionModel(**UNET), 2),
        low_res_scheduler=DDPMScheduler(**SCHEDULE | {"beta_schedule": "squaredcos_cap_v2"}),
        scheduler=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1),
    )
    pipeline.save_pretrained(folder)
    return folder
