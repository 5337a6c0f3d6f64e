"""Converting and inspecting weights files."""
