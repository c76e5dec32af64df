"""What a user adds in a package of their own, outside of llmcycle's tree."""
