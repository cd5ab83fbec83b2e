"""What was scored, for readers: tables of a terminal, figures, and pages that need nothing else."""
