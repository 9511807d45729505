"""Find the files of a Qwen2.5-VL: in a folder, on the Hugging Face hub, or in the hub's cache on this machine."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from realis.core.errors import InputError, RunError, require
from realis.core.log import logger
from realis.core.system import main_memory

ALTERNATIVES = (
    "or captions without the model in this process: --captions.by endpoint --captions.url http://HOST:8000/v1, of a server "
    "such as vLLM on a machine with a GPU; or --captions.by given, of a --source list with a column caption"
)
HUB_TIMEOUT = 10  # seconds


class ModelFiles(NamedTuple):
    """A Qwen2.5-VL that was found.

    Args:
        cached: it has to be read from the hub's cache, as the hub does not answer.
        size: bytes of its weights.
        missing: of these, bytes that have to be downloaded.
        in_float32: bytes of memory that its weights take on a CPU.
    """

    cached: bool
    size: int
    missing: int
    in_float32: int

    def check_room(self, name: str) -> None:
        """Check that there is room for the weights that have to be downloaded, and log their size.

        Raises:
            RunError: there is not.
        """
        from huggingface_hub.constants import HF_HUB_CACHE

        cache = Path(HF_HUB_CACHE)
        free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free
        if self.missing > free:
            raise RunError(
                f"--captions.model: {name} is not on this machine, and its {self.missing / 1e9:.1f} GB do not fit into "
                f"{cache}, where {free / 1e9:.1f} GB are free; make room, or set HF_HOME to a folder on another disk, "
                f"{ALTERNATIVES}"
            )
        if self.missing:
            logger.info(
                "captions: %s is fetched from the Hugging Face hub when captions are due, %.1f GB into %s",
                name, self.missing / 1e9, cache,
            )  # fmt: skip

    def check_memory(self, name: str) -> None:
        """Check that the weights fit into main memory, and warn how slow captions are on a CPU.

        Raises:
            InputError: main memory is too small.
        """
        memory = main_memory()
        if memory and self.in_float32 > memory:
            raise InputError(
                f"--captions.device: no GPU here, and in float32 on the CPU {name} takes {self.in_float32 / 1e9:.0f} GB of "
                f"memory, of which there are {memory / 1e9:.0f}; wanted a GPU or a smaller --captions.model, {ALTERNATIVES}"
            )
        logger.warning(
            "captions: no GPU here: %s will run in float32 on the CPU, with %.1f GB of memory for its weights and minutes a "
            "clip; %s", name, self.in_float32 / 1e9, ALTERNATIVES.removeprefix("or "),
        )  # fmt: skip


def find_model(name: str) -> ModelFiles:
    """Find a Qwen2.5-VL in a folder or on the hub, without reading its weights.

    Raises:
        InputError: packages are missing, or the model is missing, incomplete, or another one.
    """
    try:
        import qwen_vl_utils  # noqa: F401
        from transformers import AutoConfig
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise InputError(
            f"--captions.by qwen: {error}; install the extra: pip install -c constraints.txt -e '.[data]', {ALTERNATIVES}"
        ) from error
    transformers_logging.set_verbosity_error()
    if name.startswith((".", "/")) and not Path(name).is_dir():
        raise InputError(f"--captions.model: {name} is not there; wanted a Qwen2.5-VL: a folder, or a hub id")
    of_hub = None if Path(name).is_dir() else hub_weights(name)
    cached = not Path(name).is_dir() and of_hub is None
    with explain_model_errors(name, cached):
        config: Any = AutoConfig.from_pretrained(name, local_files_only=cached)
    require(
        config.model_type == "qwen2_5_vl",
        f"--captions.model {name}",
        f"a {config.model_type}",
        "a Qwen2.5-VL (qwen2_5_vl)",
    )
    size, missing = of_hub or (local_weights(name), 0)
    return ModelFiles(cached, size, missing, size * 4 // (config.dtype.itemsize if config.dtype else 4))


@contextmanager
def explain_model_errors(name: str, cached: bool) -> Iterator[None]:
    """Turn errors of loading the model into an :class:`InputError` of one line."""
    from safetensors import SafetensorError

    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        missing = "the Hugging Face hub does not answer or does not know it, nor is it in the hub's cache here"
        reason = missing if cached else " ".join(str(error).split())
        raise InputError(
            f"--captions.model: {name!r} cannot be loaded: {reason}; wanted a Qwen2.5-VL: a folder, or a hub id; {ALTERNATIVES}"
        ) from error


def hub_weights(name: str) -> tuple[int, int] | None:
    """Return the bytes of the weights of a model on the hub, and how many of them are not in the cache; ``None`` where the hub
    does not answer. One request without retries; loading would wait for five retries of each file."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        info = HfApi().model_info(name, timeout=HUB_TIMEOUT, files_metadata=True)
    except Exception:  # noqa: BLE001 - of whichever HTTP library the hub's client is built on
        return None
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or () if one.rfilename.endswith(".safetensors")}
    here = {file for file in sizes if isinstance(try_to_load_from_cache(name, file, revision=info.sha), str)}
    return sum(sizes.values()), sum(size for file, size in sizes.items() if file not in here)


def local_weights(name: str) -> int:
    """Return the bytes of the weights in a folder, or in the hub's cache.

    Raises:
        InputError: some are missing.
    """
    from huggingface_hub import try_to_load_from_cache

    config = (
        Path(name, "config.json") if Path(name).is_dir() else Path(str(try_to_load_from_cache(name, "config.json")))
    )
    index = config.with_name("model.safetensors.index.json")
    try:
        names = {*json.loads(index.read_text())["weight_map"].values()} if index.exists() else {"model.safetensors"}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"--captions.model: {index}: cannot be read ({error})") from error
    files = [config.with_name(file) for file in sorted(names)]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"--captions.model: {name}: {', '.join(missing)} not in {config.parent}; fetch it again, {ALTERNATIVES}"
        )
    return sum(file.stat().st_size for file in files)
