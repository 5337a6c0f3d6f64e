"""What is particular to FLUX.1: its sizes, latent space, positions, schedule and attention."""
