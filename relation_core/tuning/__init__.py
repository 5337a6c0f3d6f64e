"""Learning a relation: exemplar tokens that make a frozen model turn some pictures into others."""
