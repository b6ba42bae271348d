"""Likelihood of a datacard of Combine and its templates, written from Combine's documentation.

A card without templates counts: each bin has one entry.

Shapes are interpolated as fractions of the yield, or as their logarithms (``shapeN``), by a
polynomial within one standard deviation and linearly beyond; yields exponentially, asymmetric ones
by a polynomial within half a standard deviation. With ``autoMCStats``, bins have one parameter
each, which adds the error of the scaled sum.
"""

from itertools import pairwise

import iminuit
import numpy as np
import uproot
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import norm


class CombineCard:
    """Datacard as a function of named parameters; ``r`` is the strength."""

    def __init__(self, path):
        rows = [row.split() for row in path.read_text().splitlines() if not row.startswith("--")]
        bins, processes = [], []
        self.sources, self.free, self.statistics, templates = {}, {}, False, None
        for row in rows:
            match row:
                case ["shapes", "*", "*", file, "$CHANNEL/$PROCESS", varied]:
                    assert varied == "$CHANNEL/$PROCESS_$SYSTEMATIC"
                    templates = uproot.open(path.parent / file)
                case ["bin", *names]:
                    bins.append(names)
                case ["process", *names]:
                    processes.append(names)
                case ["rate", *values]:
                    rates = list(map(float, values))
                case ["observation", *values]:
                    observation = list(map(float, values))
                case [name, "rateParam", channel, process, start, limits]:
                    low, high = map(float, limits.strip("[]").split(","))
                    self.free.setdefault(name, ((low, high), []))[1].append((channel, process))
                    assert float(start) == 1
                case ["*", "autoMCStats", threshold, "1"]:
                    assert float(threshold) == 0
                    self.statistics = True
                case [name, "lnN" | "shape" | "shape?" | "shapeN" as kind, *values]:
                    self.sources[name] = kind, values
        self.channels = bins[0]
        columns = list(zip(bins[1], *processes, rates, strict=True))
        if templates is None:
            templates = Counts(self.channels, observation, bins[1], processes[0], rates)
        self.data = {c: templates[f"{c}/data_obs"].values() for c in self.channels}
        for channel, count in zip(self.channels, observation, strict=True):
            assert np.sum(self.data[channel]) == np.float64(count) or np.isclose(
                np.sum(self.data[channel]), count, rtol=1e-8
            )
        self.parts = {c: [] for c in self.channels}
        keys = set(templates.keys(cycle=False))
        for index, (channel, process, number, rate) in enumerate(columns):
            nominal = templates[f"{channel}/{process}"]
            assert np.isclose(np.sum(nominal.values()), rate, rtol=1e-8)
            shapes, yields = {}, {}
            for name, (kind, values) in self.sources.items():
                if values[index] == "-":
                    continue
                place = f"{channel}/{process}_{name}"
                if kind != "lnN" and f"{place}Up" in keys:
                    assert float(values[index]) == 1
                    up, down = (templates[place + side].values() for side in ("Up", "Down"))
                    fractions = [up / np.sum(up), down / np.sum(down), nominal.values() / rate]
                    if kind == "shapeN":
                        fractions = [np.log(fraction) for fraction in fractions]
                    shapes[name] = kind, fractions[0] - fractions[2], fractions[1] - fractions[2]
                    yields[name] = np.sum(up) / rate, np.sum(down) / rate
                else:
                    assert kind not in ("shape", "shapeN")
                    down, *rest = map(float, values[index].split("/"))
                    yields[name] = (rest[0], down) if rest else (down, 1 / down)
            free = [name for name, (_, of) in self.free.items() if (channel, process) in of]
            if int(number) <= 0:
                free.append("r")
            part = (nominal.values(), nominal.errors(), rate, shapes, yields, free)
            self.parts[channel].append(part)
        self.bins = [
            f"{channel}_{i}"
            for channel in self.channels
            for i in range(len(self.data[channel]))
            if self.statistics and sum(part[1][i] ** 2 for part in self.parts[channel]) > 0
        ]
        self.bounds = 0, 10
        self.constrained = [*self.sources, *self.bins]
        self.names = ["r", *self.free, *self.constrained]

    def expected(self, values):
        """Expected events of each channel."""
        found = {}
        for channel, parts in self.parts.items():
            total, variance = 0.0, 0.0
            for nominal, errors, rate, shapes, yields, free in parts:
                fraction = nominal / rate if rate else nominal
                for name, (kind, up, down) in shapes.items():
                    change = vertical(values[name], up, down)
                    fraction = fraction * np.exp(change) if kind == "shapeN" else fraction + change
                if any(kind == "shapeN" for kind, *_ in shapes.values()):
                    fraction = fraction / np.sum(fraction)
                scale = np.prod([values[name] for name in free])
                scale *= np.exp(sum(log_normal(values[n], *of) for n, of in yields.items()))
                total = total + np.maximum(fraction, 0) * rate * scale
                variance = variance + (errors * scale) ** 2
            moved = [values.get(f"{channel}_{i}", 0.0) for i in range(len(total))]
            found[channel] = np.maximum(total + np.sqrt(variance) * moved, 1e-9)
        return found

    def nll(self, values, data=None, auxiliary=None):
        """Negative logarithm of the likelihood."""
        total = 0.0
        for channel, expected in self.expected(values).items():
            seen = (data or self.data)[channel]
            total += np.sum(expected - seen * np.log(expected) + gammaln(seen + 1))
        centers = auxiliary or dict.fromkeys(self.constrained, 0.0)
        return total + sum((values[n] - centers[n]) ** 2 / 2 for n in self.constrained)

    def fit(self, data=None, auxiliary=None, r=None):
        """Minimise; returns the minimum, the values and the error of the strength."""

        def cost(x):
            return self.nll(dict(zip(self.names, x, strict=True)), data, auxiliary)

        start = [1.0] * (1 + len(self.free)) + [0.0] * len(self.constrained)
        minuit = iminuit.Minuit(cost, start, name=self.names)
        minuit.errordef = iminuit.Minuit.LIKELIHOOD
        minuit.limits["r"] = self.bounds
        for name, (limits, _) in self.free.items():
            minuit.limits[name] = limits
        if r is not None:
            minuit.values["r"], minuit.fixed["r"] = r, True
        minuit.strategy = 1 if r is None else 0
        minuit.migrad()
        assert minuit.valid
        return minuit.fval, minuit.values.to_dict(), minuit.errors["r"]

    def limit(self, level=0.95):
        """Upper limit with CLs and the asymptotic distributions."""
        best, at_best, _ = self.fit()
        _, without, _ = self.fit(r=0.0)
        asimov = self.expected(without)
        centers = {name: without[name] for name in self.constrained}
        best_asimov = self.fit(asimov, centers, r=0.0)[0]

        def excess(r):
            q = 2 * (self.fit(r=r)[0] - best) if at_best["r"] <= r else 0.0
            q_asimov = 2 * (self.fit(asimov, centers, r=r)[0] - best_asimov)
            root, root_asimov = np.sqrt(max(q, 0)), np.sqrt(max(q_asimov, 0))
            if root <= root_asimov:
                both = norm.sf(root), norm.sf(root - root_asimov)
            else:
                both = (
                    norm.sf((q + q_asimov) / (2 * root_asimov)),
                    norm.sf((q - q_asimov) / (2 * root_asimov)),
                )
            return both[0] / both[1] - (1 - level)

        highest = 1.0
        while excess(highest) > 0:
            highest *= 2
        return brentq(excess, max(highest / 2, at_best["r"] + 0.01), highest, rtol=1e-3)


class Count:
    """Template of one bin, without a statistical error."""

    def __init__(self, events):
        self.events = np.array([events])

    def values(self):
        return self.events

    def errors(self):
        return np.zeros(1)


class Counts(dict):
    """Templates of a card without any."""

    def __init__(self, channels, observation, bins, processes, rates):
        data = zip(channels, observation, strict=True)
        parts = zip(bins, processes, rates, strict=True)
        super().__init__({f"{c}/data_obs": Count(n) for c, n in data})
        self.update({f"{c}/{process}": Count(n) for c, process, n in parts})

    def keys(self, cycle):
        return super().keys()


def vertical(x, up, down):
    """Change of a fraction, a polynomial within one standard deviation and linear beyond."""
    if abs(x) >= 1:
        return x * up if x > 0 else -x * down
    return 0.5 * ((up - down) * x + (up + down) * (3 * x**6 - 10 * x**4 + 15 * x**2) / 8)


def log_normal(x, up, down):
    """Logarithm of the factor of a yield."""
    high, low = np.log(up), -np.log(down)
    if abs(x) >= 0.5:
        return x * (high if x > 0 else low)
    mean, half, twice = (high + low) / 2, (high - low) / 2, 2 * x
    return x * (mean + half * twice * (twice**2 * (3 * twice**2 - 10) + 15) / 8)


class ParametricCard(CombineCard):
    """Datacard whose processes are PDFs of a workspace of RooFit.

    A process has its rate times ``<pdf>_norm``, if the workspace has that; parameters of the
    workspace float, and those with a line ``param`` are constrained. With ``middles``, PDFs are
    evaluated in the middle of bins, as Combine does.
    """

    def __init__(self, path, *, middles=False):
        import ROOT

        rows = [row.split() for row in path.read_text().splitlines() if not row.startswith("--")]
        bins, processes, self.constrained, sources = [], [], [], {}
        for row in rows:
            match row:
                case ["shapes", "*", "*", file, "w:$PROCESS_$CHANNEL"]:
                    self.file = ROOT.TFile.Open(str(path.parent / file))
                    self.workspace = self.file.Get("w")
                case ["bin", *names]:
                    bins.append(names)
                case ["process", *names]:
                    processes.append(names)
                case ["rate", *values]:
                    rates = list(map(float, values))
                case ["observation", *counts]:
                    assert set(counts) == {"-1"}
                case [name, "lnN", *values]:
                    sources[name] = values
                case [name, "param", mean, width]:
                    assert (float(mean), float(width)) == (0, 1)
                    self.constrained.append(name)
        self.nodes = 1 if middles else 8
        channels, columns = bins
        self.data, self.spectra = {}, {}
        for channel in channels:
            data = self.workspace.data(f"data_obs_{channel}")
            (mass,) = (self.workspace.var(x.GetName()) for x in data.get())
            binning = mass.getBinning()
            edges = [binning.binLow(i) for i in range(data.numEntries())] + [mass.getMax()]
            self.data[channel] = np.array([data.weight(i) for i in range(data.numEntries())])
            self.spectra[channel] = mass, edges
        self.processes, used = [], {}
        for index, (channel, name, number, rate) in enumerate(
            zip(columns, *processes, rates, strict=True)
        ):
            pdf = self.workspace.pdf(f"{name}_{channel}")
            scale = self.workspace.function(f"{name}_{channel}_norm")
            factors = {n: float(v[index]) for n, v in sources.items() if v[index] != "-"}
            self.processes.append((channel, pdf, scale, rate, int(number) <= 0, factors))
            for node in (pdf, scale) if scale else (pdf,):
                nodes = node.getParameters(ROOT.RooArgSet(self.spectra[channel][0]))
                used |= {p.GetName(): p for p in nodes if not p.isConstant()}
            if scale and scale.isFundamental():
                used[scale.GetName()] = scale
        self.floating = used
        self.constrained += sources
        self.names = ["r", *self.floating, *sources]

    def expected(self, values):
        import ROOT

        for name, parameter in self.floating.items():
            parameter.setVal(values[name])
        total = dict.fromkeys(self.data, 0.0)
        for channel, pdf, scale, rate, is_signal, factors in self.processes:
            events = rate * (values["r"] if is_signal else 1) * (scale.getVal() if scale else 1)
            events *= np.prod([factor ** values[name] for name, factor in factors.items()])
            contents = integrals(ROOT, pdf, *self.spectra[channel], self.nodes)
            total[channel] = total[channel] + events * contents
        return {channel: np.maximum(contents, 1e-9) for channel, contents in total.items()}


def integrals(root, pdf, mass, edges, number=8):
    """Integrals of a PDF over bins, by quadrature with a number of nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(number)
    x, result = root.RooArgSet(mass), []
    for low, high in pairwise(edges):
        densities = []
        for node in nodes:
            mass.setVal(low + (high - low) * (1 + node) / 2)
            densities.append(pdf.getVal(x))
        result.append(weights @ densities * (high - low) / 2)
    return np.array(result)
