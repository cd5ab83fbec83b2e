"""Compiled loops over images on a CPU."""
