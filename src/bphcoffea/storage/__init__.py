"""Disks and servers: listing, opening and writing files, locks, and the meaning of errors."""
