"""A complete small world, seeded, built and served on loopback."""
