"""Weights files: reading them, recognising what they hold, and writing files that appear whole."""
