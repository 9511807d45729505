"""Run work in threads, in worker processes, and across the ranks of a distributed run."""
