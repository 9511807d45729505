"""Write trained parts so that ``from_pretrained`` opens them, each with a model card."""

import glob
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

CARD = """---
license: {licence}
library_name: diffusers
pipeline_tag: {task}
---
# {name}

{parameters:,} parameters, trained by realis; optimizer steps: {steps}.

- **Base model**: {base}
- **Data**: {data}
- **Weights**: {weights}
- **Licence**: {terms}

## Recipe

```yaml
{recipe}```
"""


@dataclass(frozen=True)
class Card:
    """What a model card says besides the recipe.

    Args:
        data: what the part was trained on.
        base: the model that it belongs to; empty: none.
        derived: whether its weights began as those of ``base``, whose licence is then theirs.
        task: what the hub calls such models.
    """

    data: str
    base: str = ""
    derived: bool = False
    task: str = "video-to-video"

    def text(self, part: ModelMixin, config: TrainConfig) -> str:
        """Return the card of a part that was trained by ``config``."""
        own = "Apache-2.0; the base model's own terms apply beside it" if self.base else "Apache-2.0"
        ema = config.optimizer.ema
        return CARD.format(
            licence="other" if self.derived else "apache-2.0",
            task=self.task,
            name=type(part).__name__,
            parameters=sum(p.numel() for p in part.parameters()),
            steps=config.run.steps,
            base=self.base or "none: trained from scratch",
            data=self.data,
            weights=f"averaged with decay {ema}" if ema else "of the last step",
            terms="that of the base model, whose weights these were" if self.derived else own,
            recipe=yaml.safe_dump(as_plain(whole_recipe(config)), sort_keys=False),
        )


def halve(part: torch.nn.Module) -> None:
    """Cast the weights of ``part`` to bfloat16, except those that diffusers keeps in float32."""
    kept = set(getattr(part, "_keep_in_fp32_modules", None) or ())
    for name, p in part.named_parameters():
        if not kept & set(name.split(".")):
            p.data = p.data.to(torch.bfloat16)


def export_parts(
    run: Run,
    step: TrainingStep,
    parts: Mapping[str, ModelMixin],
    trained: Tensors,
    card: Card,
    subfolder: str = "",
    complete: Callable[[Any, Path], None] = lambda part, folder: None,
    others: Mapping[str, ModelMixin] | None = None,
) -> None:
    """End of a run: the main process writes each part in bfloat16 safetensors and a model card to its folder.

    What is there is replaced once the new part is complete.

    Args:
        step: what was trained.
        parts: modules in it, by the folder that receives them.
        trained: what :func:`~realis.training.loop.fit` returned.
        card: what the model card says.
        subfolder: that receives the part, where ``complete`` writes the other parts of a model beside it; empty: none.
        complete: called with the trained part in float32, before it is written, and the folder, which is not yet in its place.
        others: modules that each part is only trained on with, by the folder in its own that receives them.

    Raises:
        InputError: it cannot be written there, or something else has come to be there.
        RunError: the disk is full or fails.
    """
    names = {id(p): name for player in step.players() for name, p in player.parameters.items()}

    def copy_of(part: ModelMixin) -> ModelMixin:
        return whole_part(part, {name: trained[names[id(p)]] for name, p in part.named_parameters() if id(p) in names})

    for folder, part in parts.items() if run.accelerator.is_main_process else ():
        beside = {name: copy_of(other) for name, other in (others or {}).items()}
        _write(copy_of(part), Path(folder), run.recipe, card, subfolder, complete, beside)
    run.accelerator.wait_for_everyone()


def whole_part(part: ModelMixin, weights: Tensors) -> ModelMixin:
    """Return a copy of ``part`` in memory, with ``weights``; what of it is frozen must not be sharded."""
    frozen = {name: x.cpu() for name, x in part.state_dict().items() if name not in weights}
    copy = type(part).from_config({name: value for name, value in part.config.items() if name != "_name_or_path"})
    copy.load_state_dict(frozen | weights)
    return copy


def _write(
    part: ModelMixin,
    final: Path,
    config: TrainConfig,
    card: Card,
    subfolder: str,
    complete: Callable[[Any, Path], None],
    others: Mapping[str, ModelMixin],
) -> None:
    check_export(final)  # again: something may have been put there since the run began
    for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with whole_folder(final, "the last checkpoint has the weights") as temporary:
        complete(part, temporary)
        for name, module in {subfolder: part, **others}.items():
            halve(module)
            module.save_pretrained(temporary / name)
        (temporary / "README.md").write_text(card.text(part, config))
    logger.info("wrote %s", final)
