"""Training: the adapter and a LoRA on a frozen Flux, or every weight of a small one. Needs the extra ``training``.

Nothing else in ``relation_core`` imports this package, so diffusers, peft and accelerate are loaded only by those who
use it.
"""
