"""The low-resolution set of a folder of ground truth: what it is made with, how it is made, what says so."""
