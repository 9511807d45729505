"""``accelerate launch train/train_cpc.py [recipe.yaml] [--flags]``; without arguments, the debug recipe."""

from realis.commands.__main__ import run_train_cpc

if __name__ == "__main__":
    run_train_cpc()
