"""Where evidence is kept. Knows no network."""
