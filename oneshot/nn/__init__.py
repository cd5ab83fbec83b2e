"""Candidate operations, the choice block, and the layers below them."""
