"""``python infer/upscale.py in.mp4 --target 4k``; without an input, a sample clip is rendered and upscaled."""

from realis.commands.__main__ import run_upscale

if __name__ == "__main__":
    run_upscale()
