"""Ground truth: tables of measured results, and how far predictions agree with them. Imports no torch."""
