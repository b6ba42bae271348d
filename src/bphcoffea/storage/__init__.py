"""Disks and servers: how patient we are, what they answer, what lies there, writing there."""
