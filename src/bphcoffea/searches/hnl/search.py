"""Search for a heavy neutral lepton, with the interface of `bphcoffea.statistics.search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from bphcoffea.statistics import Search, option

if TYPE_CHECKING:
    from bphcoffea.physics import Window
    from bphcoffea.results import RunFolder
    from bphcoffea.searches.hnl.limit_record import MixingLimit


class HeavyNeutralLepton(Search):
    """Search for a heavy neutral lepton in Ds → μN, N → μπ."""

    title = "Heavy neutral lepton"
    #: Options that match the toys: a tenth of their Ds comes from b hadrons.
    toy_options: ClassVar[Mapping[str, float]] = {"f_prompt": 0.9, "f_prompt_error": 0.05}
    options: ClassVar[Mapping[str, Any]] = {
        "f_prompt": option(
            float, "Fraction of the Ds produced promptly; 1 by default.", min=0, max=1
        ),
        "f_prompt_error": option(float, "Uncertainty of --f-prompt; 0 by default.", min=0),
        "mass": option(
            list[float],
            "Mass of N; may be repeated. By default the generated masses.",
            metavar="GEV",
        ),
        "points": option(
            int, "Mixings to test at each mass before the ends are refined; 20 by default."
        ),
        "neutrino": option(
            Literal["majorana", "dirac"],
            "Nature of N: its width and charges; majorana by default.",
        ),
        "toys": option(
            int,
            "Toys of each hypothesis; 0 for asymptotic formulae. "
            "By default 10000 if about ten events or fewer are expected.",
            min=0,
            metavar="N",
        ),
        "seed": option(int, "Seed of the toys; 0 by default.", min=0),
    }

    @override
    def limit(self, run: RunFolder, normalisation: RunFolder, **options: Any) -> MixingLimit:
        """Find the excluded |V|² at each mass."""
        from bphcoffea.searches.ds_yield import DsYield
        from bphcoffea.searches.hnl.mixing_limit import limit_mixing
        from bphcoffea.searches.hnl.rates import Neutrino

        prompt, error = options.pop("f_prompt", 1.0), options.pop("f_prompt_error", 0.0)
        neutrino = Neutrino(majorana=options.pop("neutrino", "majorana") == "majorana")
        fitted = DsYield.of_run(normalisation, prompt, error)
        return limit_mixing(run, fitted, options.pop("mass", None), neutrino=neutrino, **options)

    @override
    def record(self, run: RunFolder) -> MixingLimit:
        """Return the excluded |V|² of a run."""
        from bphcoffea.searches.hnl.limit_record import MixingLimit

        return MixingLimit.of_run(run)

    @override
    def windows(self, run: RunFolder) -> list[Window]:
        """Return the window of each category at each tested mass, GeV."""
        masses = self.record(run).hypotheses
        return [category.window for mass in masses for category in mass.categories.values()]
