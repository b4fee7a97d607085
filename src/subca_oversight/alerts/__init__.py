"""Notices: who is told, how, and until when it is tried."""
