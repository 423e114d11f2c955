"""Seeded races and long runs, marked `stress` and off by default."""
