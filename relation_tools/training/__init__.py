"""Training: the adapter and a LoRA on a frozen Flux, or every weight of a small one. Needs the extra ``training``.

Commands import this package when they run, so diffusers, peft and accelerate are loaded only where they are used.
"""
