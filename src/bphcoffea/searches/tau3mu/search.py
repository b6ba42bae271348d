"""Search for τ → 3μ, with the interface of `bphcoffea.statistics.search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bphcoffea.errors import FitError
from bphcoffea.statistics import Search, option

if TYPE_CHECKING:
    from bphcoffea.results import RunFolder
    from bphcoffea.searches.tau3mu.limit_record import BranchingLimit


class Tau3Mu(Search):
    """Search for τ → 3μ in decays of Ds and b hadrons."""

    title = "τ → 3μ"
    #: Options that match the toys: a quarter of the Ds from b hadrons, no trigger on three muons.
    toy_options: ClassVar[Mapping[str, float]] = {"f_b": 0.25, "trimuon_only": 1.0}
    options: ClassVar[Mapping[str, Any]] = {
        "f_b": option(
            float, "Fraction of the Ds from b hadrons; without it no τ from b hadrons count."
        ),
        "f_b_error": option(float, "Uncertainty of --f-b; 3% of it by default."),
        "level": option(
            list[float],
            "Confidence level; may be repeated. 0.90 and 0.95 by default.",
            metavar="CL",
        ),
        "trimuon_only": option(
            float,
            "Events of all triggers over those of the required one; by default 1.28 ± 0.03; "
            "1 if all triggers are required.",
            metavar="FACTOR",
        ),
    }

    @override
    def limit(self, run: RunFolder, normalisation: RunFolder, **options: Any) -> BranchingLimit:
        """Set limits on B(τ → 3μ)."""
        from dataclasses import replace

        from bphcoffea.searches.tau3mu.branching_limit import LEVELS, limit_branching
        from bphcoffea.searches.tau3mu.rates import STANDARD, Factor

        corrections = STANDARD
        if "trimuon_only" in options:
            factor = options.pop("trimuon_only")
            if not factor >= 1:
                raise FitError(f"--trimuon-only {factor:g}: a factor of 1 or more")
            corrections = replace(corrections, trimuon=Factor(factor, 0.0, "given"))
        return limit_branching(
            run,
            normalisation,
            options.pop("f_b", None),
            options.pop("f_b_error", None),
            levels=options.pop("level", LEVELS),
            corrections=corrections,
            **options,
        )

    @override
    def record(self, run: RunFolder) -> BranchingLimit:
        """Return the limits on B(τ → 3μ) of a run."""
        from bphcoffea.searches.tau3mu.limit_record import BranchingLimit

        return BranchingLimit.of_run(run)
