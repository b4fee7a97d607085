"""CCADB's public exports: the All Certificate Records report and the PEM files beside it.

What a root program knows of a subordinate CA is what stands there (CCADB Policy 3 to 6).
"""
