"""Likelihood of a datacard of Combine, which RooFit builds of the objects of its workspace.

Combine multiplies rates by the strength, by ``<pdf>_norm`` and by κ^θ for each ``lnN``; the sum of
a channel is extended, and each constrained parameter has a Gaussian. It evaluates PDFs in the
middle of bins.
"""

import ROOT

#: Name of the strength, and its range in fits and limits.
STRENGTH, FIT_RANGE = "r", (-20, 40)


class RooFitCard:
    """Model, data and their parameters, in one workspace.

    Parameters
    ----------
    card
        A `combine_card.ParametricCard`, which reads the text and opens its workspace.
    """

    def __init__(self, card):
        self._begin()
        self.put = getattr(self.workspace, "import")
        processes = [process for process in card.processes if process[3] > 0]
        for _, pdf, scale, *_ in processes:
            for found in (pdf, scale) if scale else (pdf,):
                self.put(found, ROOT.RooFit.RecycleConflictNodes(), ROOT.RooFit.Silence())
        constraints = self._constraints(card)
        masses = [mass.GetName() for mass, _ in card.spectra.values()]
        for channel in card.spectra:
            terms = [
                f"{self._yield(pdf, *others)}*{pdf.GetName()}"
                for name, pdf, *others in processes
                if name == channel
            ]
            self.make("SUM::sum_{}({})", channel, ",".join(terms))
            self.make("PROD::model_{0}(sum_{0}{1})", channel, constraints)
        pairs = ",".join(f"{channel}=model_{channel}" for channel in card.data)
        self.make("SIMUL::model(channel[{}],{})", ",".join(card.data), pairs)
        self._end(card, [*masses, "channel"])
        self.data = self._data(card)

    def _begin(self):
        """Make a workspace with the strength."""
        self.workspace = ROOT.RooWorkspace("combined")
        self.make("r[1,{},{}]", *FIT_RANGE)

    def _constraints(self, card):
        """Make the constraints of parameters, and return their names after a comma each."""
        for name in card.constrained:
            if not self.workspace.var(name):
                self.make("{}[0,-7,7]", name)
            self.make("Gaussian::{0}_Pdf({0},{0}_In[0,-7,7],1)", name)
            self.workspace.var(f"{name}_In").setConstant(True)
        return "".join(f",{name}_Pdf" for name in card.constrained)

    def _end(self, card, observables):
        """Name the parts of the finished model."""
        self.model, self.observables = self.workspace.pdf("model"), observables
        self.globals = [f"{name}_In" for name in card.constrained]
        known = {STRENGTH, *observables}
        self.nuisances = [
            parameter.GetName()
            for parameter in self.model.getVariables()
            if not parameter.isConstant() and parameter.GetName() not in known
        ]

    def make(self, text, *parts):
        """Make an object in the factory language."""
        assert self.workspace.factory(text.format(*parts)), text.format(*parts)

    def _yield(self, pdf, scale, rate, is_signal, factors):
        """Make the expected events of a process, and return their name."""
        names = ([STRENGTH] if is_signal else []) + ([scale.GetName()] if scale else [])
        first = len(names)
        powers = [f"pow({k!r},@{first + i})" for i, k in enumerate(factors.values())]
        text = "*".join([repr(rate), *(f"@{i}" for i in range(first)), *powers])
        name = f"n_exp_{pdf.GetName()}"
        self.make("expr::{}('{}',{{{}}})", name, text, ",".join([*names, *factors]))
        return name

    def _data(self, card):
        """Return the counts as weights of the middles of bins."""
        names = ",".join([*self.observables, "weight"])
        self.make("weight[0,0,1e9]")
        row, index = self.workspace.argSet(names), self.workspace.cat("channel")
        data = ROOT.RooDataSet("data_obs", "", row, ROOT.RooFit.WeightVar("weight"))
        for channel, counts in card.data.items():
            mass, edges = card.spectra[channel]
            index.setLabel(channel)
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
                self.workspace.var(mass.GetName()).setVal((low + high) / 2)
                data.add(row, count)
        return data

    def fit(self):
        """Return the strength and its error at the minimum."""
        likelihood = self.model.createNLL(
            self.data, ROOT.RooFit.GlobalObservables(self.workspace.argSet(",".join(self.globals)))
        )
        minimizer = ROOT.RooMinimizer(likelihood)
        minimizer.setPrintLevel(-1)
        assert minimizer.minimize("Minuit2") == 0
        minimizer.hesse()
        strength = self.workspace.var(STRENGTH)
        return strength.getVal(), strength.getError()

    def limits(self, level, observed, expected):
        """Return the observed and the median expected upper limit of RooStats.

        Each comes from a scan of ±2% around a value: RooStats interpolates between points along
        straight lines, which in a scan of both is wrong by 1%.
        """
        return [
            self._scanned(level, 0.98 * near, 1.02 * near)[which]
            for which, near in enumerate((observed, expected))
        ]

    def _scanned(self, level, low, high, points=9):
        strength = self.workspace.var(STRENGTH)
        strength.setRange(0, FIT_RANGE[1])
        configs = []
        for name, value in (("signal", low), ("background", 0)):
            config = ROOT.RooStats.ModelConfig(name, self.workspace)
            config.SetPdf(self.model)
            config.SetParametersOfInterest(STRENGTH)
            config.SetObservables(",".join(self.observables))
            config.SetGlobalObservables(",".join(self.globals))
            config.SetNuisanceParameters(",".join(self.nuisances))
            strength.setVal(value)
            config.SetSnapshot(ROOT.RooArgSet(strength))
            configs.append(config)
        ROOT.RooStats.AsymptoticCalculator.SetPrintLevel(-1)
        calculator = ROOT.RooStats.AsymptoticCalculator(self.data, configs[1], configs[0])
        calculator.SetOneSided(True)
        calculator.SetQTilde(True)
        inverter = ROOT.RooStats.HypoTestInverter(calculator)
        inverter.SetConfidenceLevel(level)
        inverter.UseCLs(True)
        inverter.SetVerbose(-1)
        inverter.SetFixedScan(points, low, high)
        found = inverter.GetInterval()
        return found.UpperLimit(), found.GetExpectedUpperLimit(0)


class RooFitCounts(RooFitCard):
    """Model, data and their parameters of a card without templates.

    Parameters
    ----------
    card
        A `combine_card.CombineCard`, which reads the text.
    """

    def __init__(self, card):
        self._begin()
        for name, (limits, _) in card.free.items():
            self.make("{}[1,{},{}]", name, *limits)
        constraints = self._constraints(card)
        for channel, parts in card.parts.items():
            terms, names = [], {}
            for _, _, rate, _, yields, free in parts:
                factors = [repr(rate), *(names.setdefault(n, f"@{len(names)}") for n in free)]
                for name, (up, _) in yields.items():
                    factors.append(f"pow({up!r},{names.setdefault(name, f'@{len(names)}')})")
                terms.append("*".join(factors))
            self.make("expr::n_{}('{}',{{{}}})", channel, "+".join(terms), ",".join(names))
            self.make(
                "Poisson::pdf_{0}(obs_{0}[{1},0,1e9],n_{0},1)", channel, card.data[channel][0]
            )
        pdfs = ",".join(f"pdf_{channel}" for channel in card.parts)
        self.make("PROD::model({}{})", pdfs, constraints)
        self._end(card, [f"obs_{channel}" for channel in card.parts])
        row = self.workspace.argSet(",".join(self.observables))
        self.data = ROOT.RooDataSet("data_obs", "", row)
        self.data.add(row)
