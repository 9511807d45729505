"""The Consistency-Preserved ControlNet, and how its features enter the frozen transformer."""
