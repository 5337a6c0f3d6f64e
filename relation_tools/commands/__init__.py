"""The groups of commands of ``python -m relation_tools``."""
