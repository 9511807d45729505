"""Whether a control branch is static, as its configuration says. No torch, so that it is known before weights are opened."""

from collections.abc import Mapping
from typing import Any


def is_static(config: Mapping[str, Any]) -> bool:
    """Whether the features of a CPC depend on nothing but the LR latent, so that one computation serves all steps.

    Args:
        config: its config.json; a key that is not there has the default of :class:`realis.models.cpc.controlnet.CpcControlNet`.
    """
    conditioned = config.get("time_conditioned", True) or config.get("text_conditioned", True)
    return config.get("control_input", "lr") == "lr" and not conditioned
