"""Breaches with a life."""
