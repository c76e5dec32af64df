"""Compose a recipe and refuse a bad one before it costs anything; imports no torch."""
