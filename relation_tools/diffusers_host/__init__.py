"""RelationAdapter with diffusers as the host. Needs the optional extra ``headless``.

Commands import this package when they run, so diffusers is loaded only where it is used.
"""
