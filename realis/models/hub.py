"""Where a model's files are: the embedded realis-tiny, a local folder, or the Hugging Face hub. No torch needed."""

from pathlib import Path

from realis.errors import InputError

TINY = "realis-tiny"
PRESETS = Path(__file__).parent / "presets"


def model_folder(name: str, *, text_encoder: bool = True) -> Path:
    """Local folder of a model in diffusers' format.

    Args:
        name: ``realis-tiny`` (carried by the package), a local folder, or a hub id such as
            ``Wan-AI/Wan2.1-T2V-1.3B-Diffusers``, downloaded once into the hub's cache.
        text_encoder: also download the text encoder (11 GB for Wan2.1).

    Raises:
        InputError: no such folder, or the hub has no such model or cannot be reached.
    """
    if name == TINY:
        return PRESETS / "tiny"
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"model: got {name!r}, which is no folder; wanted {TINY}, a folder, or a hub id OWNER/NAME")
    return _download(name, text_encoder)


def _download(name: str, text_encoder: bool) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "tokenizer/*"]
    try:
        hf_hub_download(name, "model_index.json")  # a small question first: is it there, and can the hub be reached?
        ignored = None if text_encoder else ["text_encoder/*"]
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=ignored))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"model: {name!r} cannot be fetched from the hub: {reason}") from error
