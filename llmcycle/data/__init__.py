"""Rows to tokens: sources, encoders, packing, collators and the storefront."""
