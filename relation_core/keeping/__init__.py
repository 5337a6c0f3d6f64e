"""Restoring what an edit should have left alone: finding what it changed, and putting the rest of the source back."""
