"""Load, adapt, merge and save models, and prove that a hand-off changed nothing."""
