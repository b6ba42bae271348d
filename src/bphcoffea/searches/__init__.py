"""Searches: each in a package of its own, found through an entry point.

No general package imports one; see :mod:`bphcoffea.statistics.search`.
"""
