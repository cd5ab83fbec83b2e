"""Weights that depend on earlier choices: one file a kind."""
