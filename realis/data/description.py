"""What a run was trained on, in words, for model cards."""

from pathlib import Path

RENDERED = "clips rendered from the photographs that scikit-image carries, whose terms its documentation names"
TERMS = "its own terms apply, and are to be named here before the weights are passed on"


def describe_footage(manifest: str, clips: int, degradation: str) -> str:
    """Describe footage: the name of its manifest, how many clips that names, and how they were degraded."""
    return f"footage ({Path(manifest).name}, clips: {clips}), degraded by {Path(degradation).name}; {TERMS}"
