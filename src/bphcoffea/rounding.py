"""Values and errors as text, rounded to two digits of the error."""

from __future__ import annotations

import math


def rounded(value: float, error: float) -> tuple[str, str]:
    """Return a value and its error, both rounded to the second digit of the error.

    Without a usable error (0, infinite or NaN), the value has six digits and the error three.

    Examples
    --------
    >>> rounded(224.236, 21.3), rounded(12345.6, 678), rounded(0.0018, 0.000997)
    (('224', '21'), ('12350', '680'), ('0.0018', '0.0010'))
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}", f"{error:.3g}"
    # formatting decides whether 0.0997 has its second digit at the same place as 0.10
    decimals = 1 - int(f"{error:.1e}".partition("e")[2])
    shown = max(decimals, 0)
    # no "-0", since adding 0.0 makes it positive
    texts = (f"{round(number, decimals) + 0.0:.{shown}f}" for number in (value, error))
    return next(texts), next(texts)


def with_error(value: float, error: float, sign: str = "±") -> str:
    """Return a value with its error, both rounded to the second digit of the error.

    >>> with_error(224.236, 21.3)
    '224 ± 21'
    """
    return f" {sign} ".join(rounded(value, error))
