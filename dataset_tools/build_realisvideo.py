"""Build RealisVideo-4K out of footage; ``--help`` lists the flags. Without arguments: a miniature of everything."""

if __name__ == "__main__":
    from realis.commands.__main__ import run_build  # here, for worker processes read this file and need none of it

    run_build()
