"""Stage 1: train a tokenizer and a model from random weights."""
