"""How much of a run's attention a relation gave."""
