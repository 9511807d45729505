"""Errors, files, records, settings, log, units: what every room uses. No torch, no video; imports nothing above."""
