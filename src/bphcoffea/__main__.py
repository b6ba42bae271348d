"""The program ``bphcoffea``, also as ``python -m bphcoffea``."""

import os
import signal
import time

from bphcoffea import cores, garbage

#: When the program began, before anything slow is imported: a run says how long it took.
_BEGAN = time.perf_counter()


def main() -> None:
    """Run the command line; while its packages are imported, Ctrl-C ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    garbage.search_rarely()
    os.environ.update(cores.one_algebra_thread())
    from bphcoffea import cli

    try:
        cli.main(_BEGAN)
    finally:
        garbage.exempt_all()


if __name__ == "__main__":
    main()
