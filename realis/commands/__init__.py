"""One file a command: its configuration, and the composition of what the rooms below offer."""
