"""Write trained parts so that ``from_pretrained`` opens them, each with a model card."""

import glob
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from diffusers.models.modeling_utils import ModelMixin

from realis.core.config import as_plain
from realis.core.files import whole_folder
from realis.core.log import logger
from realis.training.run import Run
from realis.training.run_folder import check_export, whole_recipe
from realis.training.settings import TrainConfig
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep

RENDERED = "clips rendered from the photographs that scikit-image carries, whose terms its documentation names"
TERMS = "its own terms apply, and are to be named here before the weights are passed on"
CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: video-to-video
---
# {name}

{parameters:,} parameters, trained by realis; optimizer steps: {steps}.

- **Base model**: {base}
- **Data**: {data}
- **Weights**: {weights}
- **Licence**: Apache-2.0; the base model's own terms apply beside it

## Recipe

```yaml
{recipe}```
"""


def describe_footage(manifest: str, clips: int, degradation: str) -> str:
    """Describe the footage that a part was trained on, for its card."""
    return f"footage ({Path(manifest).name}, clips: {clips}), degraded by {Path(degradation).name}; {TERMS}"


def halve(part: torch.nn.Module) -> None:
    """Cast the weights of ``part`` to bfloat16, except those that diffusers keeps in float32."""
    kept = set(getattr(part, "_keep_in_fp32_modules", None) or ())
    for name, p in part.named_parameters():
        if not kept & set(name.split(".")):
            p.data = p.data.to(torch.bfloat16)


def export_parts(run: Run, step: TrainingStep, parts: Mapping[str, ModelMixin], trained: Tensors, data: str) -> None:
    """End of a run: the main process writes each part in bfloat16 safetensors and a model card to its folder.

    What is there is replaced once the new part is complete.

    Args:
        step: what was trained.
        parts: modules in it, by the folder that receives them.
        trained: what :func:`~realis.training.loop.fit` returned.
        data: what it was trained on, for the card.

    Raises:
        InputError: it cannot be written there, or something else has come to be there.
        RunError: the disk is full or fails.
    """
    names = {id(p): name for player in step.players() for name, p in player.parameters.items()}
    for folder, part in parts.items() if run.accelerator.is_main_process else ():
        weights = {name: trained[names[id(p)]] for name, p in part.named_parameters() if id(p) in names}
        _write(whole_part(part, weights), Path(folder), run.recipe, data)
    run.accelerator.wait_for_everyone()


def whole_part(part: ModelMixin, weights: Tensors) -> ModelMixin:
    """Return a copy of ``part`` in memory, with ``weights``; what of it is frozen must not be sharded."""
    frozen = {name: x.cpu() for name, x in part.state_dict().items() if name not in weights}
    copy = type(part).from_config({name: value for name, value in part.config.items() if name != "_name_or_path"})
    copy.load_state_dict(frozen | weights)
    return copy


def _write(part: ModelMixin, final: Path, config: TrainConfig, data: str) -> None:
    halve(part)
    averaged = f"averaged with decay {config.optimizer.ema}" if config.optimizer.ema else "of the last step"
    card = CARD.format(
        name=type(part).__name__,
        parameters=sum(p.numel() for p in part.parameters()),
        steps=config.run.steps,
        base=getattr(config, "model", "none: trained from scratch"),
        data=data,
        weights=averaged,
        recipe=yaml.safe_dump(as_plain(whole_recipe(config)), sort_keys=False),
    )
    check_export(final)  # again: something may have been put there since the run began
    for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with whole_folder(final, "the last checkpoint has the weights") as temporary:
        part.save_pretrained(temporary)
        (temporary / "README.md").write_text(card)
    logger.info("wrote %s", final)
