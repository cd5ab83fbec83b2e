"""Evaluators: architectures in, predictions out."""
