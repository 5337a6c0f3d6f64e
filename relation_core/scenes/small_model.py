"""The location of the small model that comes with the pack."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "small_model"
FLUX = FOLDER / "flux.safetensors"
ADAPTER = FOLDER / "relation_adapter.safetensors"
VISION = FOLDER / "siglip.safetensors"
AUTOENCODER = FOLDER / "taesd.safetensors"
STEPS = 4
"""Sampling steps that it needs."""
