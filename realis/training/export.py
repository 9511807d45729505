"""Write a trained part so that ``from_pretrained`` opens it, with a model card."""

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from diffusers.models.modeling_utils import ModelMixin

from realis.config import as_plain
from realis.log import logger

CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: video-to-video
---
# {name}

{parameters:,} parameters, trained by realis for {steps} steps.

- **Base model**: {base}
- **Data**: clips rendered from the photographs that scikit-image carries
- **Licence**: Apache-2.0; the base model's own terms apply beside it

## Recipe

```yaml
{recipe}```
"""


def halve(part: torch.nn.Module) -> None:
    """Cast the weights of ``part`` to bfloat16, except those that diffusers keeps in float32."""
    kept = set(getattr(part, "_keep_in_fp32_modules", None) or ())
    for name, p in part.named_parameters():
        if not kept & set(name.split(".")):
            p.data = p.data.to(torch.bfloat16)


def export_part(accelerator: Accelerator, part: ModelMixin, folder: str, config: Any) -> None:
    """End of a run: the main process writes ``part`` in bfloat16 safetensors and a model card to ``folder``.

    What is there is replaced once the new part is complete.
    """
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _write(part, Path(folder), config)
    accelerator.end_training()


def _write(part: ModelMixin, final: Path, config: Any) -> None:
    temporary = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    halve(part)
    part.save_pretrained(temporary)
    card = CARD.format(
        name=type(part).__name__,
        parameters=sum(p.numel() for p in part.parameters()),
        steps=config.run.steps,
        base=getattr(config, "model", "none: trained from scratch"),
        recipe=yaml.safe_dump(as_plain(config), sort_keys=False),
    )
    (temporary / "README.md").write_text(card)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    logger.info("wrote %s", final)
