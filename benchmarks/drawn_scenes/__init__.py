"""A model of drawn scenes, right on every edit that it was trained on: what benchmarks and tests need as a measure."""
