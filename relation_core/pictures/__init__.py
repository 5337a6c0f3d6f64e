"""Pictures: reading them, converting them to tensors, and drawing sheets of them."""
