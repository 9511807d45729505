"""``python train/train_comparator.py [recipe.yaml] [--flags]``."""

from realis.commands.__main__ import run_train_comparator

if __name__ == "__main__":
    run_train_comparator()
