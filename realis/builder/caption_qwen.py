"""Captions by Qwen2.5-VL in this process."""

from typing import Any

from realis.builder.captioner import CaptionsConfig, Sample
from realis.builder.qwen_files import ALTERNATIVES, explain_model_errors, find_model
from realis.core.errors import InputError, RunError
from realis.core.log import logger
from realis.core.units import count

SMALLEST = 56 * 56  # pixels: qwen_vl_utils enlarges a frame that has fewer than asked for


class QwenCaptioner:
    """Qwen2.5-VL in bfloat16 on a GPU, in float32 on a CPU; greedy, so that the same clip gets the same caption.

    Args:
        config: of the captions; ``config.model`` is a folder or a hub id.

    Attributes:
        together: clips at a time; halved when GPU memory is too small.

    Raises:
        InputError: packages are missing, or the model is not a Qwen2.5-VL or cannot be downloaded.
    """

    calls = 1

    def __init__(self, config: CaptionsConfig) -> None:
        self.config = config
        self.together = config.batch
        self.processor, self.model = load(config.model, config.device)

    def caption(self, samples: list[Sample]) -> list[str]:
        """Return one caption for each sample.

        Raises:
            RunError: GPU memory is too small even for one clip.
        """
        import torch

        texts: list[str] = []
        while len(texts) < len(samples):
            group = samples[len(texts) : len(texts) + self.together]
            try:
                texts += self._generated(group)
            except torch.OutOfMemoryError:
                if len(group) == 1:
                    raise RunError(
                        "captions: out of GPU memory with a single clip; give fewer --captions.frames, a lower "
                        "--captions.max-pixels, or a smaller --captions.model"
                    ) from None
                self.together = len(group) // 2
                logger.warning(
                    "captions: out of GPU memory with %s at a time; going on with %d",
                    count(len(group), "clip"),
                    self.together,
                )
            if self.together < len(group):  # not in the except block, where the error still holds tensors
                torch.cuda.empty_cache()
        return texts

    def stop(self) -> None:
        """Do nothing: there are no retries."""

    def summary(self) -> str:
        """Describe the batch size, if it had to be reduced."""
        return f"{count(self.together, 'clip')} at a time" if self.together < self.config.batch else ""

    def _generated(self, samples: list[Sample]) -> list[str]:
        import torch

        inputs = self.inputs(samples).to(self.model.device)
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, do_sample=False, max_new_tokens=self.config.max_tokens)
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        return self.processor.batch_decode(answers, skip_special_tokens=True)

    def inputs(self, samples: list[Sample]) -> Any:
        """Prepare the input of the model: tokens of the chat, padded on the left, and pixels and times of the frames."""
        from PIL import Image
        from qwen_vl_utils import process_vision_info

        chats = []
        for sample in samples:
            video = {
                "type": "video",
                "video": [Image.fromarray(frame) for frame in sample.frames],
                "sample_fps": sample.rate,
                "min_pixels": SMALLEST,
                "max_pixels": self.config.max_pixels,
            }
            chats.append([{"role": "user", "content": [video, {"type": "text", "text": self.config.prompt}]}])
        # The rate reaches the positions in time only as metadata: the processor does not read the keyword fps that
        # process_vision_info gives without it, and would take 24 frames a second.
        vision: Any = process_vision_info(chats, return_video_kwargs=True, return_video_metadata=True)
        _, videos, options = vision
        return self.processor(
            text=self.processor.apply_chat_template(chats, tokenize=False, add_generation_prompt=True),
            videos=[frames for frames, _ in videos],
            video_metadata=[metadata for _, metadata in videos],
            padding=True,
            do_resize=False,
            return_tensors="pt",
            **options,
        )


def check_model(config: CaptionsConfig, elsewhere: bool) -> None:
    """Check, before hours of work, that the model can be found and run, and log what it will take. Only its configuration is
    downloaded.

    Args:
        config: of the captions; ``config.model`` and ``config.device`` are checked.
        elsewhere: the model runs on other machines, whose disk and memory are not known here.

    Raises:
        InputError: the model cannot be found or run.
        RunError: there is no disk space for it.
    """
    found = find_model(config.model)
    if not elsewhere:
        found.check_room(config.model)
        if torch_device(config.device) == "cpu":
            found.check_memory(config.model)


def torch_device(device: str) -> str:
    """Return the torch device of ``--captions.device``.

    Raises:
        InputError: it is a GPU, but torch finds none.
    """
    import torch

    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if place.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--captions.device: got {device}, but torch sees no GPU; wanted cpu or auto, {ALTERNATIVES}")
    return place


def load(name: str, device: str) -> tuple[Any, Any]:
    """Load processor and model from a folder or the hub; weights from safetensors only.

    Raises:
        InputError: see :class:`QwenCaptioner`.
    """
    import torch

    cached = find_model(name).cached
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    place = torch_device(device)
    with explain_model_errors(name, cached):
        processor = AutoProcessor.from_pretrained(name, local_files_only=cached)
        loaded: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            name,
            local_files_only=cached,
            dtype=torch.bfloat16 if place.startswith("cuda") else torch.float32,
            device_map=place,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise InputError(f"--captions.model: {name}: lacks {count(len(missing), 'weight')}, such as {missing[0]}")
    processor.tokenizer.padding_side = "left"
    # Greedy decoding uses none of these three, and transformers would warn of each.
    model.generation_config.update(temperature=None, top_p=None, top_k=None)
    return processor, model.eval()
