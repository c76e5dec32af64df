"""Stage 3: supervised training on prompts and completions."""
