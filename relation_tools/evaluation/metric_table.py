"""The scores that an evaluation can have, in the order of a report's columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a score is shown."""

    label: str
    higher: bool = True
    """Whether a higher value is better."""
    digits: int = 3

    @property
    def arrow(self) -> str:
        """Points where better values are."""
        return "\u2191" if self.higher else "\u2193"

    def shown(self, value: float) -> str:
        """Write a value with as many digits as the papers do."""
        return f"{value:.{self.digits}f}"


METRICS = {
    "mse": Metric("MSE", higher=False),
    "clip_i": Metric("CLIP-I"),
    "consistency": Metric("Consistency"),
    "accuracy": Metric("Accuracy"),
    "psnr": Metric("PSNR, dB", digits=2),
    "ssim": Metric("SSIM"),
    "lpips": Metric("LPIPS", higher=False),
    "lpips_source": Metric("LPIPS to source", higher=False),
    "dino": Metric("DINO"),
    "clip_direction": Metric("CLIP direction"),
    "clip_text_direction": Metric("CLIP text direction"),
    "clip_t": Metric("CLIP-T"),
    "kept_mse": Metric("MSE outside the edit", higher=False, digits=5),
    "kept_share": Metric("Unchanged outside the edit"),
    "kept_lpips": Metric("LPIPS outside the edit", higher=False),
}
