"""Where a model's files are: the embedded realis-tiny, a local folder, or the Hugging Face hub. No torch needed."""

import math
from collections.abc import Callable, Sequence
from itertools import filterfalse
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, file_error, require
from realis.core.records import load_json

TINY = "realis-tiny"
SD_X4_TINY = "sd-x4-tiny"
STABLEVSR_TINY, DGAF_VSR_TINY = "stablevsr-tiny", "dgaf-vsr-tiny"  # only what guides sd-x4-tiny
VIDEOGIGAGAN_TINY = "videogigagan-tiny"
DEPTH, WIDTH = 1000, 65536
# Whole numbers from 1 in the config.json of a part, and the largest that is no mistake: one that is would be built, or
# sampled, for hours
MOST = {
    "num_layers": DEPTH, "num_main_layers": DEPTH, "num_res_blocks": DEPTH, "steps": 1000,
    "num_attention_heads": WIDTH, "attention_head_dim": WIDTH, "in_channels": WIDTH, "out_channels": WIDTH,
    "ffn_dim": WIDTH, "freq_dim": WIDTH, "text_dim": WIDTH, "rope_max_seq_len": WIDTH, "z_dim": WIDTH, "base_dim": WIDTH,
    "decoder_base_dim": WIDTH, "scale_factor_spatial": WIDTH, "latent_channels": WIDTH, "channels": WIDTH,
}  # fmt: skip
TRANSFORMER = ("num_attention_heads", "attention_head_dim", "in_channels", "patch_size", "ffn_dim", "num_layers")
WAN_WIDTH = 96  # base_dim of Wan2.1's VAE, and what diffusers takes where a config.json names none
FROM_0 = {"num_blocks": DEPTH, "radius": WIDTH}
PRESETS = Path(__file__).parent / "presets"
EMBEDDED = {
    TINY: "tiny",
    SD_X4_TINY: "sd_x4_tiny",
    STABLEVSR_TINY: "stablevsr_tiny",
    DGAF_VSR_TINY: "dgaf_vsr_tiny",
    VIDEOGIGAGAN_TINY: "videogigagan_tiny",
}  # models that the package carries, and their folders


def model_folder(
    name: str,
    flag: str = "--model",
    *,
    embedded: str = TINY,
    parts: Sequence[str] = ("*",),
    text_encoder: bool = True,
) -> Path:
    """Return the local folder of a model in diffusers' format.

    Args:
        name: ``embedded``, a local folder, or a hub id such as ``Wan-AI/Wan2.1-T2V-1.3B-Diffusers``, downloaded once into
            the hub's cache.
        flag: what asks for it, for messages.
        embedded: which of :data:`EMBEDDED` is of the kind that is wanted.
        parts: the folders whose weights are downloaded, as patterns.
        text_encoder: also download the text encoder (11 GB for Wan2.1).

    Raises:
        InputError: no such folder, or the hub has no such model or cannot be reached.
    """
    if name == embedded:
        return PRESETS / EMBEDDED[name]
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or Path(name).parent.is_dir():
        raise InputError(
            f"{flag}: got {name!r}, which is no folder; wanted {embedded}, a folder, or a hub id OWNER/NAME"
        )
    return _download(name, flag, parts, text_encoder)


def has_text_encoder(folder: Path) -> bool:
    """Whether a model reads text: realis-tiny was trained without."""
    index = folder / "model_index.json"
    named = read_json(index).get("text_encoder") if index.is_file() else None  # [library, class], both null without
    return (isinstance(named, list) and any(named)) or (folder / "text_encoder").is_dir()


def has_wan_vae(folder: Path) -> bool:
    """Whether the VAE of a model, once checked, is as wide as Wan's own; realis-tiny's is a sixth of that."""
    return read_json(folder / "vae" / "config.json").get("base_dim", WAN_WIDTH) >= WAN_WIDTH


def check_base(folder: Path) -> dict:
    """Check that transformer and VAE are there and whole; returns the transformer's configuration.

    Raises:
        InputError: a part is missing or damaged.
    """
    vae, transformer = _check_part(folder / "vae"), _check_part(folder / "transformer")
    channels = {vae.get("z_dim", 16), transformer.get("in_channels", 16), transformer.get("out_channels", 16)}
    if len(channels) > 1 or transformer.get("image_dim") or vae.get("scale_factor_spatial", 8) != 8:
        raise InputError(f"{folder}: not a Wan2.1 text-to-video model (x8 VAE, as many channels in as out)")
    index = folder / "model_index.json"
    if index.is_file():
        read_json(index)
    return transformer


def check_parts(folder: Path, cpc: Path | None, decoder: str) -> dict:
    """Find out early, without torch, whether a model's files are whole and its CPC fits its transformer.

    Args:
        folder: of the model.
        cpc: of the CPC, or ``None`` for the model's own.
        decoder: ``auto``, ``wan`` or ``lr``.

    Returns:
        The CPC's configuration.

    Raises:
        InputError: a part is missing or damaged, the CPC was made for another transformer, or the decoder for other
            latents than sampled ones.
    """
    transformer = check_base(folder)
    own = (folder / "controlnet").is_dir()
    if cpc is None and not own:
        raise InputError(f"--cpc: {folder} carries no CPC of its own; give the folder of one that was trained for it")
    controlnet = _check_part(part_folder(cpc or folder, "controlnet"))
    has_decoder = (folder / "lr_decoder").is_dir()
    if decoder == "lr" and not has_decoder:
        raise InputError(f"--decoder lr: {folder} has no lr_decoder; use --decoder wan, or train one")
    if has_decoder and decoder != "wan":
        latents = _check_part(folder / "lr_decoder").get("latents", "sampled")
        if latents != "sampled":
            raise InputError(
                f"{folder}: its lr_decoder was trained on latents of another kind ({latents}), to be measured only; use "
                "--decoder wan, or train one on sampled latents"
            )
    pairs = {"num_main_layers": "num_layers"} | {
        k: k for k in ("num_attention_heads", "attention_head_dim", "in_channels")
    }
    for ours, theirs in pairs.items():
        got, wanted = controlnet.get(ours), transformer.get(theirs)
        if got != wanted:
            raise InputError(f"--cpc: made for a transformer with {theirs} = {got}, but that of {folder} has {wanted}")
    if "window" not in controlnet:
        raise InputError(f"--cpc: {cpc or folder}: its config.json names no window; export the CPC again")
    return controlnet


def part_folder(folder: Path, name: str) -> Path:
    """Return ``folder/name`` if it is there, else ``folder`` itself."""
    return folder / name if (folder / name).is_dir() else folder


def _check_part(folder: Path) -> dict:
    """Return the configuration of a part of Wan or of what stands on it; its numbers and shapes are checked."""
    _check_types(folder / "config.json", read_json(folder / "config.json"))
    return read_part(folder, _check_width)


def read_part(folder: Path, check: Callable[[Path, Any, dict], None] | None = None) -> dict:
    """Return the configuration of one part, whose weight files are opened.

    Args:
        check: called with each of these files, the tensors in it, and the configuration.

    Raises:
        InputError: there is no configuration, or no weights, or one is damaged.
    """
    from safetensors import SafetensorError, safe_open

    config = read_json(folder / "config.json")
    weights = sorted(filterfalse(is_variant, folder.glob("*.safetensors")))
    if not weights:
        raise InputError(f"{folder}: no safetensors weights there; weights in other formats are not opened")
    for file in weights:
        try:
            with safe_open(file, "np") as tensors:
                if check:
                    check(file, tensors, config)
        except (OSError, SafetensorError) as error:
            raise file_error(f"{file}: damaged or not a safetensors file ({error})", error) from error
    return config


def is_variant(file: Path) -> bool:
    """Whether a file of weights is a copy in 16 bits beside the weights themselves, ``NAME.fp16.safetensors``: never read."""
    return ".fp16" in file.name


def read_json(file: Path) -> dict:
    """Return what a JSON file of a model holds.

    Raises:
        InputError: it cannot be read, or holds something else than names and values.
    """
    try:
        content = load_json(file.read_text())
    except (OSError, ValueError) as error:
        raise file_error(f"{file.parent}: no model in diffusers' format there ({file.name}: {error})", error) from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: got a {type(content).__name__}, wanted names and values")
    return content


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether a value from JSON is a whole number from ``least`` to ``most``."""
    return type(value) is int and least <= value <= most  # True is an int as well


def _check_types(file: Path, config: dict) -> None:
    """Check the numbers in the configuration of a part, of which it may leave some out."""
    is_transformer = "num_attention_heads" in config or "attention_head_dim" in config
    for name, value in config.items():
        if name in MOST or name in FROM_0:
            least, most = (1, MOST[name]) if name in MOST else (0, FROM_0[name])
            optional = name == "decoder_base_dim" and value is None
            require(optional or is_whole(value, least, most), f"{file}: {name}", repr(value), f"{least} to {most}")
        elif name == "window" or (name == "patch_size" and is_transformer):
            fits = isinstance(value, list) and len(value) == 3 and all(is_whole(x, 1, WIDTH) for x in value)
            require(fits, f"{file}: {name}", repr(value), "three whole numbers from 1")
        elif name in ("shift", "eps"):
            require(_is_number(value) and value > 0, f"{file}: {name}", repr(value), "a number above 0")
        elif name == "strength":
            require(_is_number(value) and 0 <= value <= 1, f"{file}: {name}", repr(value), "0 to 1")
        elif name in ("latents_mean", "latents_std"):
            fits = isinstance(value, list) and len(value) == config.get("z_dim", 16) and all(map(_is_number, value))
            require(fits, f"{file}: {name}", repr(value), "as many finite numbers as the VAE has channels (z_dim)")
    missing = [name for name in TRANSFORMER if is_transformer and name not in config]
    require(not missing, str(file), f"nothing for {', '.join(missing)}", "all that a transformer's config.json has")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _check_width(file: Path, tensors: Any, config: dict) -> None:
    """Check the shapes that a transformer's or a CPC's configuration decides."""
    if "num_attention_heads" not in config:
        return
    width = config["num_attention_heads"] * config["attention_head_dim"]
    wanted = {
        "patch_embedding.weight": [width, config["in_channels"], *config["patch_size"]],
        "blocks.0.attn1.to_q.weight": [width, width],
        "blocks.0.ffn.net.0.proj.weight": [config["ffn_dim"], width],
    }
    for name in wanted.keys() & set(tensors.keys()):
        got = tensors.get_slice(name).get_shape()
        if got != wanted[name]:
            raise InputError(f"{file}: {name} has shape {got}, but its config.json asks for {wanted[name]}")


def _download(name: str, flag: str, parts: Sequence[str], text_encoder: bool) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    # At the top of a repository, only weights under diffusers' own name are a part; others hold the whole model once more
    weights = [f"{part}/*.safetensors" for part in parts]
    patterns = ["*.json", *weights, "diffusion_pytorch_model*.safetensors", "tokenizer/*"]
    ignored = ["*.fp16*", *([] if text_encoder else ["text_encoder/*"])]
    reason = ""
    try:
        HfApi().model_info(name, timeout=10)  # a small question first, without retries
    except Exception as error:  # noqa: BLE001 - of whichever HTTP library the hub client is built on
        reason = str(error).splitlines()[0]
    try:
        return Path(
            snapshot_download(name, allow_patterns=patterns, ignore_patterns=ignored, local_files_only=bool(reason))
        )
    except Exception as error:
        reason = reason or str(error).splitlines()[0]
        raise InputError(f"{flag}: {name!r} is no folder here, is not in the hub's cache, and cannot be fetched from the hub "
                         f"({reason}); where there is a network `hf download {name}` fetches it, and {flag} takes the folder"
                         ) from error  # fmt: skip
