"""Relation252K and datasets like it: from side-by-side pictures to run-ready samples (paper, section 3.4).

A paired dataset lists pictures that show before on the left and after on the right. A run-ready dataset lists
samples: an exemplar pair, a source, a target and the instruction that leads from source to target.
"""
