"""Stage 2: templates, shots and decoding strategies; no weight changes."""
