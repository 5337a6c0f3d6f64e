"""Drawn scenes of plain shapes, and edits of them that a model learns in minutes."""
