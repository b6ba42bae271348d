"""Values and errors as text, rounded to two digits of the error."""

from __future__ import annotations

import math


def rounded(value: float, *errors: float) -> tuple[str, ...]:
    """Return a value and its errors, all rounded to the second digit of the largest error.

    Without a usable error (0, infinite or NaN), the value has six digits and errors have three.

    Examples
    --------
    >>> rounded(224.236, 21.3), rounded(12345.6, 678), rounded(0.0018, 0.000997)
    (('224', '21'), ('12350', '680'), ('0.0018', '0.0010'))
    >>> rounded(23.12, 3.34, 0.15)
    ('23.1', '3.3', '0.1')
    """
    largest = max(errors)
    if not (all(map(math.isfinite, (value, *errors))) and largest > 0):
        return f"{value:.6g}", *(f"{error:.3g}" for error in errors)
    # formatting decides whether 0.0997 has its second digit at the same place as 0.10
    decimals = 1 - int(f"{largest:.1e}".partition("e")[2])
    shown = max(decimals, 0)
    # no "-0", since adding 0.0 makes it positive
    return tuple(f"{round(number, decimals) + 0.0:.{shown}f}" for number in (value, *errors))


def with_error(value: float, error: float, sign: str = "±") -> str:
    """Return a value with its error, both rounded to the second digit of the error.

    A value without error stands alone.

    >>> with_error(224.236, 21.3), with_error(3.0, 0.0)
    ('224 ± 21', '3')
    """
    if error == 0:
        return f"{value:.6g}"
    return f" {sign} ".join(rounded(value, error))
