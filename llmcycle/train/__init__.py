"""What every trained stage shares: the base module, optimiser groups and the fit stage."""
