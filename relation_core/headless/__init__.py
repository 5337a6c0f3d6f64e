"""RelationAdapter with diffusers as the host. Needs the optional extra ``headless``.

Nothing else in ``relation_core`` imports this package, so diffusers is loaded only by those who use it.
"""
