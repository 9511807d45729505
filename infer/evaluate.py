"""``python infer/evaluate.py in.mp4 --target 4k``; without an input, a sample clip is rendered and evaluated."""

from realis.commands.__main__ import run_evaluate

if __name__ == "__main__":
    run_evaluate()
