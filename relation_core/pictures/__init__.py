"""Pictures: reading them, turning them into tensors, and drawing sheets of them."""
