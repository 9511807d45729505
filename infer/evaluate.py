"""``python infer/evaluate.py --outputs results --ground-truth truth``; without arguments, a small table of its own."""

from realis.commands.__main__ import run_evaluate

if __name__ == "__main__":
    run_evaluate()
