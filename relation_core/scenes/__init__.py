"""Painted landscapes and relations between them, and the small model that knows them."""
