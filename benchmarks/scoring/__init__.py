"""Predictions against a table: which architectures, which measures, with which intervals, compared with what."""
