"""``python -m bphcoffea.toys FOLDER`` writes the corrections that all toys have in common."""

import sys
from pathlib import Path

from bphcoffea.toys.payloads import SHIPPED_TOML, payloads


def main() -> None:
    """Write the payloads, and ``toys.toml`` that names them."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m bphcoffea.toys FOLDER, which must exist")
    folder = Path(sys.argv[1])
    for name, content in payloads().items():
        (folder / name).write_bytes(content)
    (folder / "toys.toml").write_text(SHIPPED_TOML, encoding="utf-8")


if __name__ == "__main__":
    main()
