"""The numbers of a period as values, charts and pages."""
