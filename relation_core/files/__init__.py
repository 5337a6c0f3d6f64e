"""Opening files of any kind that may not be trusted."""
