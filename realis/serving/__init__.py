"""Pages served on this machine: who may ask for them, limits, templates, and the server in a thread."""
