"""What the relation costs in time and memory, measured: ``python -m benchmarks``, or ``make bench``."""
