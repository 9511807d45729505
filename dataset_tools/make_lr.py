"""Make the low-resolution set of a ground-truth folder; ``--help`` lists the flags."""

from realis.commands.__main__ import run_degrade

if __name__ == "__main__":
    run_degrade()
