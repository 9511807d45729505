"""Training steps, one a file: a batch -> its losses."""
