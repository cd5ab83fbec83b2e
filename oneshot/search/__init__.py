"""Search: algorithms that ask an evaluator and know nothing else. Imports no torch."""
