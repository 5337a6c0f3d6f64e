"""The files of the model of drawn scenes."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FLUX = FOLDER / "flux.safetensors"
ADAPTER = FOLDER / "relation_adapter.safetensors"
VISION = FOLDER / "siglip.safetensors"
AUTOENCODER = FOLDER / "taesd.safetensors"
STEPS = 4
"""Sampling steps that it needs."""
