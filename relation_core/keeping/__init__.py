"""Telling what an edit changed from what it should have kept, and giving the latter back."""
