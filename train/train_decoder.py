"""``python train/train_decoder.py [recipe.yaml] [--flags]``."""

from realis.commands.__main__ import run_train_decoder

if __name__ == "__main__":
    run_train_decoder()
