"""Pictures of the degradation: every operation from weak to strong, and one clip through the whole chain."""

from realis.commands.__main__ import run_degradation_sheets

if __name__ == "__main__":
    run_degradation_sheets()
