"""Evaluation: test sets, protocols, alignment, measurements, tables."""
