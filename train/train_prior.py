"""``python train/train_prior.py [recipe.yaml] [--flags]``."""

from realis.commands.__main__ import run_train_prior

if __name__ == "__main__":
    run_train_prior()
