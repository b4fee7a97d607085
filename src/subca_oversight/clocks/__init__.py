"""Deadline arithmetic and versioned rule tables: pure, no input or output."""
