"""Stage 5a: quantise a model and measure what it costs."""
