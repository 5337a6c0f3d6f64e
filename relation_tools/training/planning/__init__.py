"""What a training run will hold, and where, before anything is loaded."""
