"""Value types: frozen, and free of input and output."""
