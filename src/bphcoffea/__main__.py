"""The program ``bphcoffea``, also as ``python -m bphcoffea``."""

import os
import signal

from bphcoffea import cores, garbage


def main() -> None:
    """Run the command line; while its packages are imported, Ctrl-C ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    garbage.search_rarely()
    os.environ.update(cores.one_algebra_thread())
    from bphcoffea import cli

    cli.main()


if __name__ == "__main__":
    main()
