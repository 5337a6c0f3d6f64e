"""Run-ready samples: an exemplar pair, a source, a target and an instruction (paper, section 3.4)."""
