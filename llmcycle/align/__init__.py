"""Stage 4: reward models, preference losses and policy optimisation."""
