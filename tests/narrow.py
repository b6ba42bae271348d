"""What does not fit into a narrow terminal."""

from rich.cells import cell_len

WIDTH = 60


def too_wide(text, width=WIDTH):
    """Lines that are cut off, or that are wider although they could be broken."""
    lines = (line.rstrip() for line in text.splitlines())
    return [
        line for line in lines if "…" in line or (cell_len(line) > width and " " in line.strip())
    ]
