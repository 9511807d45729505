"""RealisVSR as a method: find and check its files, then load its networks. Torch is imported only to load."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.core import units
from realis.core.errors import InputError, require
from realis.models.cpc.static import is_static
from realis.models.hub import check_parts, has_text_encoder, has_wan_vae, model_folder
from realis.models.wan.geometry import CELL, FRAMES, PATCH, TOKEN
from realis.upscaler import MethodCard, Needs, NoiseGrid, Placement, Segments
from realis.upscaling.cpc_config import CpcConfig

if TYPE_CHECKING:
    from realis.upscaling.cpc import CpcUpscaler

TRAINED_SCALE = 4  # the largest scale in the paper and in the training recipes


class CpcMethod:
    """RealisVSR as a :class:`realis.upscaler.Method`."""

    Config = CpcConfig
    card = MethodCard(
        summary="RealisVSR (arXiv 2507.19138): a frozen Wan2.1 transformer under a Consistency-Preserved ControlNet.",
        good_at="degraded video: noise, compression, blur",
        bad_at="clean and smooth video, where realis-tiny gains 0.1 dB; and speed: it samples with a transformer",
        scale="any; trained up to 4",
        memory="0.9 GiB for a result of 640x384 by realis-tiny",
        use="--method cpc [--model FOLDER] [--cpc FOLDER]",
    )

    def needs(self, config: CpcConfig, prompted: bool) -> Needs:
        if prompted and config.prompt_embeds:
            raise InputError("--prompt and --prompt-embeds: got both, wanted one")
        folder, cpc = find_folders(config, prompted)
        controlnet = check_parts(folder, cpc, config.decoder)
        if config.negative_prompt and config.guidance != 1 and not has_text_encoder(folder):
            raise InputError(
                f"--negative-prompt: {config.model} has no text encoder and knows only the empty prompt; leave it out"
            )
        if prompted and not has_text_encoder(folder):
            raise InputError(
                f"--prompt, --prompt-file: {config.model} has no text encoder and knows only the empty prompt; leave --prompt out"
            )
        frames, tile_height, tile_width = controlnet["window"]
        sampling, vae_dtype = sampling_settings(config, controlnet), choose_vae_dtype(config, folder)
        kept = kept_per_cell(config, controlnet, sampling["steps"])
        files = {"model": folder, "cpc": cpc, "prompt_embeds": config.prompt_embeds,
                 "empty_prompt_embeds": config.empty_prompt_embeds}  # fmt: skip
        tile = (config.tile_height or tile_height, config.tile_width or tile_width)
        require(
            config.tile_overlap < min(tile), "--tile-overlap", config.tile_overlap, f"less than a tile, {min(tile)}"
        )
        try:
            segments = Segments(config.segment_frames or frames, config.segment_overlap, period=FRAMES)
        except InputError as error:
            raise InputError(f"--segment-frames, --segment-overlap: {error}") from error
        return Needs(
            segments,
            trained_scale=TRAINED_SCALE,
            tile=tile,
            tile_turns=not (config.tile_height or config.tile_width),
            tile_exact=True,
            tile_overlap=config.tile_overlap,
            tile_shift=config.tiling == "shifted",
            tile_values=kept,
            multiple=TOKEN,
            noise=NoiseGrid(controlnet["in_channels"], frames=FRAMES, pixels=CELL),
            text=has_text_encoder(folder) and controlnet.get("text_conditioned", True),
            weights={name: Path(file) for name, file in files.items() if file},
            dtypes={folder / "vae": vae_dtype} if vae_dtype != "auto" else {},
            settings={**sampling, "vae_dtype": vae_dtype},
            strength=controlnet.get("strength", 1.0),
            sampling=f"{units.count(sampling['steps'], 'step')} of {sampling['sampler']} at shift {sampling['shift']:g}"
            + f", VAE in {vae_dtype}" * (vae_dtype != "auto"),
            less_memory="smaller tiles (--tile-height, --tile-width), fewer --segment-frames, --offload"
            + ", --vae-dtype bfloat16" * (vae_dtype == "float32")
            + ", --control-cache host" * (kept > 0),
            label="/".join(Path(config.cpc or config.model).parts[-2:]),
            remarks=list(remarks(config, controlnet, prompted, has_text_encoder(folder))),
        )

    def load(self, config: CpcConfig, placement: Placement, prompts: Sequence[str]) -> "CpcUpscaler":
        import torch

        from realis.models.wan.loading import Wan, load_controlnet
        from realis.upscaling.cpc import CpcUpscaler, Sampling
        from realis.upscaling.cpc_networks import load_networks
        from realis.upscaling.cpc_prompts import embed_prompts
        from realis.upscaling.placement import apply_placement

        needs, dtype = self.needs(config, any(prompts)), getattr(torch, placement.dtype)
        folder, cpc = needs.weights["model"], needs.weights.get("cpc", needs.weights["model"])
        vae_dtype = getattr(torch, needs.dtypes.get(folder / "vae", placement.dtype))
        wan = Wan(folder, dtype, vae_dtype, "cpu" if placement.offload else placement.device)
        controlnet = load_controlnet(cpc, dtype)
        # Prompts first, so that text encoder and transformer are never in memory together
        embedded = embed_prompts(config, wan, prompts, controlnet.config.text_conditioned)
        networks = load_networks(wan, controlnet, lr_decoder=config.decoder != "wan")
        denoisers = (networks.transformer, networks.controlnet)
        apply_placement(placement, denoisers, networks.vae, networks.lr_decoder)
        settings = {name: needs.settings[name] for name in ("steps", "shift", "sampler")}
        sampling = Sampling(
            **settings, guidance=config.guidance, cpc_scale=config.cpc_scale, tiling=config.tiling,
            cache=config.control_cache,
        )  # fmt: skip
        return CpcUpscaler(networks, embedded, sampling, needs, placement.device)


METHOD = CpcMethod()


def find_folders(config: CpcConfig, prompted: bool) -> tuple[Path, Path | None]:
    """Return the folder of the model, and that of the CPC of ``--cpc``; downloads what is not on this machine.

    Raises:
        InputError: one of them cannot be found.
    """
    embedded = config.prompt_embeds or config.empty_prompt_embeds
    needs_text = prompted or bool(config.negative_prompt and config.guidance != 1) or not embedded
    cpc = model_folder(config.cpc, "--cpc", text_encoder=False) if config.cpc else None  # first: it may be mistyped
    return model_folder(config.model, text_encoder=needs_text), cpc


def sampling_settings(config: CpcConfig, controlnet: dict) -> dict[str, Any]:
    """Return ``steps``, ``shift`` and ``sampler``: as asked for, else as the CPC's config.json says."""
    return {
        "steps": config.steps or controlnet.get("steps", 20),
        "shift": config.shift or controlnet.get("shift", 3.0),
        "sampler": controlnet.get("sampler", "euler") if config.sampler == "auto" else config.sampler,
    }


def kept_per_cell(config: CpcConfig, controlnet: dict, steps: int) -> int:
    """Return how many values of a static CPC's features stay for each latent cell of a tile, from one step to the next: in
    every of its layers a token's, which stands for PATCH x PATCH cells."""
    if config.tiling == "independent" or config.control_cache == "none" or steps == 1 or not is_static(controlnet):
        return 0
    width = controlnet.get("num_attention_heads", 12) * controlnet.get("attention_head_dim", 128)
    return controlnet.get("num_layers", 4) * width // PATCH**2


def choose_vae_dtype(config: CpcConfig, folder: Path) -> str:
    """Return the dtype of the VAE; ``auto``: that of ``--dtype``.

    Wan and diffusers run Wan's VAE in float32; a smaller one, such as realis-tiny's, is stored in bfloat16.
    """
    return "float32" if config.vae_dtype == "auto" and has_wan_vae(folder) else config.vae_dtype


def remarks(config: CpcConfig, controlnet: dict, prompted: bool, has_text: bool) -> Iterator[str]:
    """Yield advice: other settings that this CPC would probably do better with."""
    prompted, reads_text = prompted or bool(config.prompt_embeds), has_text or bool(config.prompt_embeds)
    takes_text = reads_text and controlnet.get("text_conditioned", True)
    if takes_text and not prompted:
        yield ("no prompt: this CPC was made to be trained with a caption of each clip; --prompt (or --prompt-file, for "
               "several) tells it what the video shows")  # fmt: skip
    if prompted and not takes_text:
        yield "--prompt: this CPC takes no text, and was made to be trained without captions; leave the prompt out"
    if controlnet.get("steps", 20) == 1 and sampling_settings(config, controlnet)["steps"] > 1:
        yield f"--steps {config.steps}: this CPC was trained to sample in one step, and more spoil its pictures"
