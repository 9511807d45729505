"""``python train/train_vae.py [recipe.yaml] [--flags]``."""

from realis.commands.__main__ import run_train_vae

if __name__ == "__main__":
    run_train_vae()
