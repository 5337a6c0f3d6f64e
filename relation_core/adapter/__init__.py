"""The adapter: its file, its names and sizes, and where to get it."""
