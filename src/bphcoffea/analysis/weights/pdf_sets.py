"""PDF sets whose alternative weights NanoAOD holds, and how their members are combined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.errors import DeclarationError
from bphcoffea.physics import ONE_SIGMA, Combination, CombinationRule

#: Key of the metadata with the error type of a dataset's PDF set, as LHAPDF has it.
PDF_ERRORS: Final = "pdf_errors"
#: Rules of the error types of LHAPDF; ``+as`` is appended if the last two members vary αs.
_RULES: Final[Mapping[str, CombinationRule]] = MappingProxyType(
    {"symmhessian": "symmhessian", "hessian": "hessian", "replicas": "replicas"}
)
_WITH_ALPHAS: Final = "+as"
#: LHAPDF IDs of the central members, by error type and confidence level in % [lhapdf.hepforge.org].
_IDS: Final = {
    ("symmhessian+as", ONE_SIGMA): (90200, 90400, 91200, 91400, 93300, 305800, 306000, 325300),
    ("symmhessian", ONE_SIGMA): (303000, 303200, 304200, 304400, 325500, 331500),
    ("replicas+as", ONE_SIGMA): (292000, 292200),
    ("replicas", ONE_SIGMA): (
        *(260000, 262000, 263000, 303400, 303600, 316200, 320900, 331100, 331700),
    ),
    ("hessian", ONE_SIGMA): (27400,),
    ("hessian", 90.0): (13000, 13100, 14000, 14400),
}
_TITLE: Final = re.compile(r"LHA IDs (\d+) - (\d+)")


@dataclass(frozen=True)
class PDFErrors:
    """Meaning of the members of a PDF set.

    Attributes
    ----------
    rule
        How members are combined.
    with_alphas
        Whether the last two members are αs down and up.
    has_central
        Whether the first weight is that of the central member; None if the number of weights must
        say so.
    confidence
        Confidence level of the members, %.
    """

    rule: CombinationRule
    with_alphas: bool
    has_central: bool | None = None
    confidence: float = ONE_SIGMA

    def combinations(self, name: str, count: int) -> tuple[Combination, ...]:
        """Return the combinations of members named ``<name>_<position>``; empty if none fits.

        Parameters
        ----------
        name
            Name of the weight, and of the uncertainty of the PDF.
        count
            Number of weights of an event.
        """
        members = [f"{name}_{position}" for position in range(count)]
        alphas = members[-2:] if self.with_alphas else []
        members = members[: count - len(alphas)]
        has_central = self.has_central
        if has_central is None:
            # sets have an even number of members beside the central one
            has_central = len(members) % 2 == 1
        reference = members[0] if has_central and members else ""
        members = members[1:] if has_central else members
        if len(members) < 2 or (self.rule == "hessian" and len(members) % 2):
            return ()
        of_pdf = Combination(name, self.rule, tuple(members), reference, self.confidence)
        if not alphas:
            return (of_pdf,)
        return of_pdf, Combination(f"{name}_alphas", "sides", tuple(alphas), reference)


def pdf_errors(metadata: DatasetMetadata, title: str) -> PDFErrors | None:
    """Return the meaning of a dataset's PDF weights; None if nothing says it.

    Parameters
    ----------
    metadata
        Metadata of the dataset. The key ``pdf_errors`` takes precedence: LHAPDF's error type, such
        as ``symmhessian+as``, and the confidence level after a space if it is not 68%.
    title
        Title of the branch, which names the LHAPDF IDs of the first and last weight.

    Raises
    ------
    DeclarationError
        If the metadata have another text.
    """
    given = metadata.get(PDF_ERRORS)
    if given is not None:
        return _parsed(given)
    found = _TITLE.search(title)
    if found is None:
        return None
    first = int(found[1])
    for (error_type, confidence), centrals in _IDS.items():
        for central in centrals:
            if first in (central, central + 1):
                rule = _RULES[error_type.removesuffix(_WITH_ALPHAS)]
                with_alphas = error_type.endswith(_WITH_ALPHAS)
                return PDFErrors(rule, with_alphas, first == central, confidence)
    return None


def _parsed(given: object) -> PDFErrors:
    error_type, _, confidence = str(given).partition(" ")
    kind = error_type.removesuffix(_WITH_ALPHAS)
    try:
        level = float(confidence or ONE_SIGMA)
    except ValueError:
        level = 0.0
    if kind not in _RULES or not 0 < level < 100:
        types = ", ".join(f"{name}, {name}{_WITH_ALPHAS}" for name in _RULES)
        raise DeclarationError(
            f"'{PDF_ERRORS}' is '{given}', but must be one of {types}; append the confidence level "
            'if it is not 68%, such as "hessian 90"'
        )
    return PDFErrors(_RULES[kind], error_type.endswith(_WITH_ALPHAS), None, level)
