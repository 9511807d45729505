"""Wan2.1: its parts from a folder, prompts, latents."""
