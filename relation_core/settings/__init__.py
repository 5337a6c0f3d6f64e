"""The numbers that users choose, and their bounds."""
