"""``python train/train_tiny.py [--output out/tiny] [--seed 0]``: all parts of realis-tiny, in order."""

from realis.commands.__main__ import run_train_tiny

if __name__ == "__main__":
    run_train_tiny()
