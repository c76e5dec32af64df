"""Stage 5b: serve a model, talk to it and measure it."""
