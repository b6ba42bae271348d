"""Contents of samples in bins and their modifiers, as read from a HistFactory workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.errors import FitError
from bphcoffea.statistics.model_parameters import Parameter, configured
from bphcoffea.statistics.workspace import Modifier, SampleSpec, Workspace

#: Order of the parameters: free ones, constrained ones, and those of bins.
_ORDER = ("normfactor", "shapefactor", "lumi", "normsys", "staterror", "shapesys")


class Cells:
    """Samples in bins: cells, which have contents, and the modifiers of cells and samples.

    Attributes
    ----------
    channels
        Number of bins of each channel, in alphabetical order as in pyhf.
    rows
        Channel and name of each sample.
    parameters
        All parameters.
    nominal, bin, row
        Content, bin and sample of each cell; only cells in which something can be expected.
    factors
        Positions of the parameters that multiply each cell, shape (largest number, cells); the
        number of parameters stands for no parameter.
    norms
        Sample, parameter, and factors up and down of each `normsys`; shape (4, n).
    shapes
        Cell, parameter, and contents up and down minus the nominal of each `histosys`.
    """

    def __init__(self, spec: Workspace) -> None:
        self.channels: dict[str, int] = {}
        self.rows: list[tuple[str, str]] = []
        self._types: dict[str, str] = {}
        self._keys: dict[tuple[str, int], int] = {}
        #: content and variance of the bins that share a factor with statistical uncertainty
        self._statistics: dict[int, tuple[float, float]] = {}
        self._relative: dict[int, float] = {}
        cells: list[tuple[float, int, int]] = []
        factors: list[list[int]] = []
        norms: list[tuple[int, int, float, float]] = []
        shapes: list[tuple[int, int, float, float]] = []
        for channel in sorted(spec["channels"], key=lambda entry: entry["name"]):
            first, bins = sum(self.channels.values()), len(channel["samples"][0]["data"])
            self.channels[channel["name"]] = bins
            for sample in channel["samples"]:
                _check(channel["name"], sample, bins)
                row = len(self.rows)
                self.rows.append((channel["name"], sample["name"]))
                contents = np.array(sample["data"], dtype=np.float64)
                slots: list[list[int]] = []
                templates: list[tuple[int, Floats, Floats]] = []
                for modifier in sample["modifiers"]:
                    kind = modifier["type"]
                    if modifier["type"] == "normsys":
                        data = modifier["data"]
                        norms.append((row, self._scalar(modifier), data["hi"], data["lo"]))
                    elif modifier["type"] == "histosys":
                        up, down = (np.array(modifier["data"][k]) for k in ("hi_data", "lo_data"))
                        shape = self._scalar(modifier), up - contents, down - contents
                        templates.append(shape)
                    elif modifier["type"] == "normfactor" or modifier["type"] == "lumi":
                        slots.append([self._scalar(modifier)] * bins)
                    elif kind in ("shapefactor", "staterror", "shapesys"):
                        slots.append(self._of_bins(modifier, contents, first))
                    else:
                        raise FitError(
                            f"channel '{channel['name']}', sample '{sample['name']}': modifier "
                            f"'{modifier['name']}' has the unknown type '{kind}'"
                        )
                for index, content in enumerate(contents):
                    changes = [(k, up[index], down[index]) for k, up, down in templates]
                    if content == 0 and not any(up or down for _, up, down in changes):
                        continue
                    shapes += [(len(cells), *change) for change in changes]
                    cells.append((content, first + index, row))
                    factors.append([places[index] for places in slots])
        self._finish(spec, cells, factors, norms, shapes)

    def _finish(
        self,
        spec: Workspace,
        cells: Sequence[tuple[float, int, int]],
        factors: Sequence[Sequence[int]],
        norms: Sequence[tuple[int, int, float, float]],
        shapes: Sequence[tuple[int, int, float, float]],
    ) -> None:
        """Order the parameters and make arrays."""
        keys = sorted(self._keys, key=lambda key: _ORDER.index(self._types[key[0]]))
        moved = np.empty(len(keys) + 1, dtype=np.int64)
        groups: dict[str, list[int]] = {}
        for new, key in enumerate(keys):
            moved[self._keys[key]] = new
            groups.setdefault(key[0], []).append(new)
        moved[-1] = len(keys)
        counted: Counter[str] = Counter()
        parameters = []
        for name, place in keys:
            number = counted[name]
            counted[name] += 1
            full = name if place < 0 else f"{name}[{number}]"
            parameters.append(self._parameter(full, name, self._keys[name, place]))
        settings = spec["measurements"][0]["config"].get("parameters", [])
        self.parameters = configured(parameters, groups, settings)
        for parameter in self.parameters:
            if self._types.get(parameter.name) == "lumi" and not np.isfinite(parameter.width):
                raise FitError(
                    f"the measurement states no uncertainty of '{parameter.name}'; give auxdata, "
                    "sigmas, inits and bounds in its parameters"
                )
        widest = max((len(slots) for slots in factors), default=0)
        table = [[*slots, *[-1] * (widest - len(slots))] for slots in factors]
        self.factors: Integers = moved[np.array(table, dtype=np.int64).reshape(-1, widest).T]
        contents = np.array(cells, dtype=np.float64).reshape(-1, 3).T
        self.nominal: Floats = contents[0]
        self.bin, self.row = contents[1].astype(np.int64), contents[2].astype(np.int64)
        self.norms, self.shapes = (
            np.array(entries, dtype=np.float64).reshape(-1, 4).T for entries in (norms, shapes)
        )
        for entries in (self.norms, self.shapes):
            entries[1] = moved[entries[1].astype(np.int64)]

    def _parameter(self, full: str, name: str, index: int) -> Parameter:
        kind = self._types[name]
        if kind == "lumi":
            return Parameter(full, "normal", 1.0, 0.0, measured=1.0)
        if kind == "normsys":
            return Parameter.nuisance(full)
        if kind == "staterror":
            content, variance = self._statistics[index]
            relative = np.sqrt(variance) / content if content > 0 else 0.0
            return Parameter.of_bin(full, "normal", float(relative))
        if kind == "shapesys":
            return Parameter.of_bin(full, "poisson", self._relative[index])
        return Parameter(full)

    def _scalar(self, modifier: Modifier) -> int:
        return self._key(modifier, -1)

    def _of_bins(self, modifier: Modifier, contents: Floats, first: int) -> list[int]:
        """Return the parameters of the bins of a sample, and note their uncertainties."""
        # free factors are shared by the bins of the same number of several channels
        offset = 0 if modifier["type"] == "shapefactor" else first
        if modifier["type"] == "shapesys" and modifier["name"] in self._types:
            raise FitError(
                f"two samples have a shapesys '{modifier['name']}'; its names must be unique"
            )
        places = [self._key(modifier, offset + index) for index in range(len(contents))]
        if modifier["type"] == "staterror":
            for place, content, error in zip(places, contents, modifier["data"], strict=True):
                total, variance = self._statistics.get(place, (0.0, 0.0))
                self._statistics[place] = total + float(content), variance + error**2
        elif modifier["type"] == "shapesys":
            for place, content, error in zip(places, contents, modifier["data"], strict=True):
                self._relative[place] = error / float(content) if content > 0 else 0.0
        return places

    def _key(self, modifier: Modifier, place: int) -> int:
        name = modifier["name"]
        kind = "normsys" if modifier["type"] == "histosys" else modifier["type"]
        if self._types.setdefault(name, kind) != kind:
            raise FitError(
                f"'{name}' is the name of a {self._types[name]} and of a {kind}; rename one of them"
            )
        return self._keys.setdefault((name, place), len(self._keys))


def _check(channel: str, sample: SampleSpec, bins: int) -> None:
    """Raise a FitError if arrays have different lengths, or factors are not positive."""
    where = f"channel '{channel}', sample '{sample['name']}'"
    lengths = {"data": len(sample["data"])}
    for modifier in sample["modifiers"]:
        if modifier["type"] == "normsys":
            low, high = modifier["data"]["lo"], modifier["data"]["hi"]
            if not (low > 0 and high > 0):
                raise FitError(
                    f"{where}: the factors {high:g} and {low:g} of normsys '{modifier['name']}' "
                    "must be positive"
                )
        elif modifier["type"] == "histosys":
            for key in ("hi_data", "lo_data"):
                values = modifier["data"][key]
                lengths[f"{key} of '{modifier['name']}'"] = len(values)
        elif modifier["type"] in ("staterror", "shapesys"):
            lengths[f"{modifier['type']} '{modifier['name']}'"] = len(modifier["data"] or ())
    FitError.raise_for(
        [
            f"{where}: {length} bins in {name}, {bins} expected"
            for name, length in lengths.items()
            if length != bins
        ]
    )
