"""Converting weights files, and telling what they hold."""
