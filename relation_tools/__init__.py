"""Tools around the method: the headless engine, datasets, training, evaluation, and the command line."""
