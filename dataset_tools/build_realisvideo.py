"""Build RealisVideo-4K out of footage; ``--help`` lists the flags. Without arguments: a miniature of everything."""

from realis.commands.__main__ import run_build

if __name__ == "__main__":
    run_build()
