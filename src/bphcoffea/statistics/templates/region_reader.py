"""Templates and data of a region in an era, from the histograms of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import hist
import numpy as np

from bphcoffea.analysis import (
    DOWN,
    NOMINAL,
    UP,
    AnalysisRecord,
    FitRegion,
    TemplateFit,
    as_names,
    matches,
)
from bphcoffea.arrays import Booleans, Floats
from bphcoffea.errors import FitError, alternatives
from bphcoffea.results import without_scale
from bphcoffea.statistics.blindness import (
    blind_variable,
    blind_windows,
    category_windows,
    check_unblinding,
    overlapping,
)
from bphcoffea.statistics.templates.binning import Binning
from bphcoffea.statistics.templates.covariance import shape_covariance, weight_covariance
from bphcoffea.statistics.templates.model import parameter_name
from bphcoffea.statistics.templates.sources import OpenedRun, Source
from bphcoffea.statistics.templates.template import Sides, Template, TemplateChannel, Varied

#: Name of the variation of the luminosity, and beginning of those of cross sections.
LUMINOSITY: Final = "luminosity"
CROSS_SECTION: Final = "cross_section_"


@dataclass(frozen=True)
class RegionReader:
    """Reads the histograms of a region in an era.

    Attributes
    ----------
    fit
        The declaration.
    region
        The region.
    era, sources
        Name of the era of the model, and its datasets.
    """

    fit: TemplateFit
    region: FitRegion
    era: str
    sources: Sequence[Source]

    def channel(
        self, processes: Mapping[str, Sequence[Source]], *, unblind: bool
    ) -> TemplateChannel:
        """Return the channel.

        Parameters
        ----------
        processes
            Datasets of each process, also those of other eras.
        unblind
            Read data of blind regions and bins.
        """
        binnings = {source.run.path: self._binning(source.run) for source in self.sources}
        first, *others = binnings.values()
        if any(not np.array_equal(first.edges, other.edges) for other in others):
            raise FitError(
                f"the histogram '{self._name}' has other bins in {list(binnings)[1]} than in "
                f"{next(iter(binnings))}"
            )
        templates = {}
        for process, of_process in processes.items():
            of_era = [source for source in of_process if source in self.sources]
            if of_era:
                templates[process] = self._template(of_era, first)
        data, hidden = self._data(first, unblind=unblind)
        record = self.sources[0].run.analysis.histograms[self._name]
        label = f"{record.label or record.variable}{f' [{record.unit}]' if record.unit else ''}"
        if record.others:  # bins are numbered
            label = f"Bin of {', '.join((record.variable, *record.others))}"
        return TemplateChannel(
            parameter_name(self.region.name, self.era),
            *(self.region.name, self.era, self._name, first.edges, label),
            templates,
            data,
            hidden,
        )

    @property
    def _name(self) -> str:
        return self.region.histogram or self.fit.histogram

    def _histogram(self, run: OpenedRun) -> hist.Hist:
        histograms = run.histograms
        if self._name not in histograms:
            known = [name for name in histograms if name in run.analysis.histograms]
            raise FitError(
                f"{run.path}: has no histogram '{self._name}'{alternatives(self._name, known)}"
            )
        histogram = histograms[self._name]
        regions = list(histogram.axes["category"])
        if self.region.name not in regions:
            raise FitError(
                f"{run.path}: the histogram '{self._name}' has no region '{self.region.name}'"
                f"{alternatives(self.region.name, regions)}"
            )
        return histogram

    def _binning(self, run: OpenedRun) -> Binning:
        rebin = self.fit.rebin if self.region.rebin is None else self.region.rebin
        try:
            return Binning.of(self._histogram(run), rebin, overflow=self.fit.overflow)
        except ValueError as error:
            raise FitError(f"region '{self.region.name}', '{self._name}': {error}") from None

    def _filled(self, source: Source, names: Sequence[str]) -> Any:
        """Return the bins of a dataset under some variations: axes variation and variables."""
        histogram = self._histogram(source.run)
        datasets, regions, variations = (list(axis) for axis in histogram.axes[:3])
        view = histogram.view(flow=True)[
            datasets.index(source.name), regions.index(self.region.name)
        ]
        return view[[variations.index(name) for name in names]]

    def _template(self, sources: Sequence[Source], binning: Binning) -> Template:
        parts = [self._of_dataset(source, binning) for source in sources]
        nominal = np.sum([part.nominal for part in parts], axis=0)
        names = list(dict.fromkeys(name for part in parts for name in part.variations))
        return Template(
            nominal,
            np.sum([part.variance for part in parts], axis=0),
            {name: _summed(name, parts) for name in names},
            {
                name: lacking
                for name in names
                # a cross section concerns its own process alone
                if not name.startswith(CROSS_SECTION)
                and (
                    lacking := tuple(
                        source.name
                        for source, part in zip(sources, parts, strict=True)
                        if name not in part.variations
                    )
                )
            },
            tuple(dict.fromkeys(name for part in parts for name in part.cross_sections)),
        )

    def _of_dataset(self, source: Source, binning: Binning) -> Template:
        """Return the template of one dataset, scaled to the luminosity."""
        known = source.run.normalisation[source.name]
        if known.scale is None:
            message = without_scale([source.name], source.run.normalisation)
            raise FitError(f"{source.run.path}: {message}")
        names = self._variations(source)
        filled = self._filled(source, [NOMINAL, *names])
        values, variances = filled["value"] * known.scale, filled["variance"] * known.scale**2
        merged = binning.merged(values), binning.merged(variances)
        nominal, variance = merged[0][0], merged[1][0]
        sides: dict[str, dict[str, Varied]] = {}
        for index, name in enumerate(names, 1):
            base, side = _split(name)
            covariance = _covariance(source.run.analysis, name, binning, values, variances, index)
            sides.setdefault(base, {})[side] = Varied(merged[0][index], covariance)
        variations = {name: Sides(of.get(UP), of.get(DOWN)) for name, of in sides.items()}
        cross_section = f"{CROSS_SECTION}{source.metadata.process or source.name}"
        rates = {
            LUMINOSITY: known.uncertainties.luminosity,
            cross_section: known.uncertainties.cross_section,
        }
        for name, size in rates.items():
            if size and self.fit.rates:
                variations[name] = Sides(
                    *(
                        Varied(nominal * f, np.diag(variance * (f - 1) ** 2))
                        for f in (1 + size, 1 / (1 + size))
                    )
                )
        return Template(
            nominal,
            variance,
            variations,
            cross_sections=tuple(name for name in variations if name == cross_section),
        )

    def _variations(self, source: Source) -> list[str]:
        """Return the variations of a dataset that the histogram is filled under."""
        filled = list(self._histogram(source.run).axes["variation"])
        literal = {name for rule in self.fit.variations for name in as_names(rule.names)}
        return [
            name
            for name in source.run.analysis.variations.get(source.name, ())
            if name in filled
            and name != NOMINAL
            # without sides it is another hypothesis, unless it is asked for
            and (
                _split(name)[0] != name
                or name in literal
                or any(matches(name, envelope.of) for envelope in self.fit.envelopes)
            )
        ]

    def _data(self, binning: Binning, *, unblind: bool) -> tuple[Floats, Booleans]:
        """Return the observed events, NaN in hidden bins, and which bins are hidden."""
        bins = len(binning.edges) - 1
        data = [source for source in self.sources if not source.metadata.is_mc]
        expected = self.fit.data == "asimov"
        if not expected and not data:
            raise FitError(
                f"the runs have no data of the era '{self.era}'; set data = 'asimov'"
                if self.era
                else "the runs have no data; set data = 'asimov'"
            )
        hidden = np.full(bins, expected or (not unblind and self._is_blind()))
        for run in {source.run.path: source.run for source in data}.values():
            if not np.all(hidden):
                hidden |= self._hidden_in(run, binning, unblind=unblind)
        seen = np.full(bins, np.nan)
        if not np.all(hidden):
            seen[~hidden] = 0
            for source in data:
                (values,) = binning.merged(self._filled(source, [NOMINAL])["value"])
                seen[~hidden] += values[~hidden]
        return seen, hidden

    def _is_blind(self) -> bool:
        return matches(self.region.name, self.fit.blind)

    def _hidden_in(self, run: OpenedRun, binning: Binning, *, unblind: bool) -> Booleans:
        """Return which bins a run hides, or must not show."""
        analysis, bins = run.analysis, len(binning.edges) - 1
        if analysis.blind is None:
            return np.zeros(bins, dtype=np.bool_)
        if unblind:
            check_unblinding(run.folder)
            return np.zeros(bins, dtype=np.bool_)
        windows = category_windows(run.folder).get(self.region.name, blind_windows(run.folder))
        if windows is None:
            return np.ones(bins, dtype=np.bool_)
        record = analysis.histograms[self._name]
        if record.variable == blind_variable(analysis, analysis.blind) and not record.others:
            return overlapping(binning.ends, windows)
        # events in the windows may be in any bin of other variables
        return np.full(bins, len(windows) > 0)


def _covariance(
    analysis: AnalysisRecord,
    name: str,
    binning: Binning,
    values: Any,
    variances: Any,
    index: int,
) -> Floats | None:
    """Return the covariance of the difference of a variation; None if it is unknown.

    `values` and `variances` have the axes variation, with the nominal one first, and variables.
    """
    if "shapes" not in analysis.model_fields_set:  # written by an older version
        return None
    both = [0, index]
    if name not in analysis.shapes:
        contents = binning.merged(values[both]), binning.merged(variances[both])
        return weight_covariance(*(of[i] for i in (0, 1) for of in contents))
    if len(binning.starts) > 1:
        # bins of several variables in a row are not all neighbours
        return None
    contents = binning.with_flow(values[both]), binning.with_flow(variances[both])
    return binning.without_flow(shape_covariance(*(of[i] for i in (0, 1) for of in contents)))


def _split(name: str) -> tuple[str, str]:
    """Return a variation's name without its side, and the side; upwards if it has none."""
    for side in (UP, DOWN):
        if name.endswith(side) and name != side:
            return name.removesuffix(side), side
    return name, UP


def _summed(name: str, parts: Sequence[Template]) -> Sides:
    """Return a variation of the sum of some datasets; those that lack it are nominal."""

    def side(of: str) -> Varied | None:
        found = [
            getattr(part.variations[name], of) if name in part.variations else None
            for part in parts
        ]
        if not any(found):
            return None
        values = [
            part.nominal if varied is None else varied.values
            for part, varied in zip(parts, found, strict=True)
        ]
        present = [varied.covariance for varied in found if varied is not None]
        known = [covariance for covariance in present if covariance is not None]
        covariance = np.sum(known, axis=0) if len(known) == len(present) else None
        return Varied(np.sum(values, axis=0), covariance)

    return Sides(side("up"), side("down"))
