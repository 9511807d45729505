"""``accelerate launch train/train_cpc.py [recipe.yaml] [--flags]``; without arguments, the debug recipe."""

import sys
from pathlib import Path

from realis.commands.__main__ import run_train_cpc

DEBUG_RECIPE = Path(__file__).parent / "recipes" / "debug.yaml"

if __name__ == "__main__":
    if not sys.argv[1:]:
        print(f"realis: no arguments given: running {DEBUG_RECIPE} on the embedded realis-tiny", file=sys.stderr)
    run_train_cpc(sys.argv[1:] or [str(DEBUG_RECIPE)])
