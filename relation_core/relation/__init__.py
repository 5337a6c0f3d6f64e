"""Relations: from pooled exemplar pictures to tokens, keys and values, and to a file and back."""
