"""The vision side: exemplar pictures, SigLIP's file and its attention-pooling head."""
