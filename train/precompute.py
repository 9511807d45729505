"""``python train/precompute.py recipe.yaml [--flags]``: caption embeddings and HR latents that a recipe reads."""

from realis.commands.__main__ import run_precompute

if __name__ == "__main__":
    run_precompute()
