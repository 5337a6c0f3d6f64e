"""RelationAdapter (arXiv 2506.02528) without a host: from a file on disk to relation attention.

Data moves one way: file -> adapter -> exemplar tokens -> keys and values -> attention.

Axes in shapes: B batch, P exemplar pairs, N tokens a picture, D text width, H heads, L tokens of the
model, T exemplar tokens of all pairs, d head width.
"""
