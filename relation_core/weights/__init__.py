"""Weights files: reading them, recognising their contents, and writing files atomically."""
