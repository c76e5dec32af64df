"""Metrics and intervals used by every stage."""
