"""Oversight of cross-signed and externally operated subordinate CAs, for the CA that signed."""

__version__ = "26.11.0"
