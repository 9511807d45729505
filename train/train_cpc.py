"""``python train/train_cpc.py [recipe.yaml] [--flags]``; without arguments, the debug recipe.

On several GPUs: ``accelerate launch --config_file train/launch/ddp_8gpu.yaml train/train_cpc.py ...``.
"""

from realis.commands.__main__ import run_train_cpc

if __name__ == "__main__":
    run_train_cpc()
