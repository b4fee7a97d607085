"""What turns fetched bytes into facts that can be re-checked."""
