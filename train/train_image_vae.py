"""``python train/train_image_vae.py [recipe.yaml] [--flags]``."""

from realis.commands.__main__ import run_train_image_vae

if __name__ == "__main__":
    run_train_image_vae()
