"""Ground truth, and how far predictions agree with it. Imports no torch."""
