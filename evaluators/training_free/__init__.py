"""Scores of untrained networks: one file a score."""
