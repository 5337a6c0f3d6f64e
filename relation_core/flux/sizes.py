"""FLUX.1's fixed sizes: its latent space, its tokens and its attention heads. Another base model starts here."""

from __future__ import annotations

HEAD_DIM = 128
"""Width of an attention head (the sum of its rotary axes, 16 + 56 + 56)."""

LATENT_SIDE = 8
"""Side of one latent value, in pixels."""

LATENT_CHANNELS = 16
"""Channels of the autoencoder."""

LATENT_SCALE, LATENT_SHIFT = 0.3611, 0.1159
"""The transformer works on (latent - shift) * scale."""

PATCH = 2
"""Side of one token, in latent values."""

TOKEN_SIDE = LATENT_SIDE * PATCH
"""Side of one token, in pixels."""

TOKEN_CHANNELS = LATENT_CHANNELS * PATCH * PATCH
"""Values of one token."""
