"""Mass spectra of a limit as a parametric model of RooFit, with a datacard of Combine.

The model is that of `shape_workspace`, with densities in place of contents of bins. Combine
evaluates densities in the middle of bins, where the density of a narrow peak is not its mean in the
bin: limits would be too low, by 1% in bins as wide as the resolution and by 5% or more in bins of
twice that. Each part of the signal is therefore the mean of three copies, moved by the nodes of
Gauss and Legendre in a bin. The mean of an exponential over bins of one width is an exponential.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bphcoffea.statistics.backgrounds import Shape
from bphcoffea.statistics.datacards import BACKGROUND, DATA, SIGNAL, card_of_spectra
from bphcoffea.statistics.roofit import (
    SIGMAS,
    WORKSPACE,
    RooFitObjects,
    digits,
    identifier,
    load_root,
    quiet,
)
from bphcoffea.statistics.shape_workspace import MAX_RATIO, SLOPE_UNIT, MassChannel

#: Nodes in a bin from -1 to 1, and their weights, whose sum is 2.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)


def write_roofit_spectra(channels: Sequence[MassChannel], path: Path) -> list[Path]:
    """Write a datacard of mass spectra, and beside it the workspace with its PDFs.

    In channel ``c``, the signal is the PDF ``signal_c`` of the mass ``mass_c``, the background
    ``background_c`` with the factor ``background_c_norm``, and the data are ``data_obs_c``. PDFs
    are evaluated in the middle of bins, which have one width. Parameters of constraints have the
    names of those of :func:`~.statistics.datacards.write_shape_datacard`.

    Parameters
    ----------
    channels
        The categories. Channels without observed counts have the expectation without signal.
    path
        Path of the datacard; the workspace has the extension ``.root``.

    Raises
    ------
    FitError
        If ROOT is not installed.
    """
    root, file = load_root(), path.with_suffix(".root")
    with quiet(root):
        workspace = root.RooWorkspace(WORKSPACE)
        constrained = [
            name for channel in channels for name in _Channel(workspace, channel).build()
        ]
        if not workspace.writeToFile(str(file)):
            raise OSError(f"{file}: not written")
    names = [identifier(channel.name) for channel in channels]
    rates = [
        f"{number:.10g}"
        for channel in channels
        for number in (channel.signal, float(np.sum(channel.expected_background())))
    ]
    card = card_of_spectra(channels, names, ["-1"] * len(names), rates)
    text = card.text(f"shapes * * {file.name} {WORKSPACE}:$PROCESS_$CHANNEL", "-" * 20)
    path.write_text(text + "".join(f"{name} param 0 1\n" for name in constrained), encoding="utf-8")
    return [path, file]


class _Channel(RooFitObjects):
    """Objects of a channel."""

    def __init__(self, workspace: Any, channel: MassChannel) -> None:
        super().__init__(workspace)
        self.channel, self.name = channel, identifier(channel.name)
        self.mass = f"mass_{self.name}"

    def build(self) -> list[str]:
        """Make both PDFs and the data; return the names of the constrained parameters."""
        channel, name = self.channel, self.name
        self.make(f"{self.mass}[{digits(channel.edges[0])},{digits(channel.edges[-1])}]")
        constrained = [*self._signal(), *self._background()]
        self.make(f"{BACKGROUND}_{name}_norm[1,0,10]")
        expected = channel.expected_background()
        observed = expected if channel.observed is None else np.array(channel.observed)
        self.add_data(self.mass, f"{DATA}_{name}", channel.edges, observed)
        return constrained

    def _pull(self, name: str) -> str:
        """Make a parameter that the datacard constrains, and return its name."""
        self.make(f"{name}[0,{-SIGMAS},{SIGMAS}]")
        return name

    def _signal(self) -> list[str]:
        channel, name, shape = self.channel, self.name, self.channel.shape
        mean, pulls = digits(shape.mean), []
        if channel.mean_error > 0:
            pulls.append(self._pull(f"signal_mean_{channel.name}"))
            mean += f"+{digits(channel.mean_error)}*@0"
        half = (channel.edges[-1] - channel.edges[0]) / (len(channel.edges) - 1) / 2
        means = [f"mean{number}_{name}" for number in range(len(NODES))]
        for node, moved in zip(NODES, means, strict=True):
            self.make(f"expr::{moved}('{mean}+{digits(half * node)}',{{{','.join(pulls)}}})")
        widths = {kind: digits(getattr(shape, f"{kind}_sigma")) for kind in ("cb", "gauss")}
        if channel.width_error > 0:
            pulls.append(self._pull(f"signal_width_{channel.name}"))
            factor = f"pow({digits(1 + channel.width_error)},@0)"
            for kind, width in widths.items():
                self.make(f"expr::{kind}_sigma_{name}('{width}*{factor}',{{{pulls[-1]}}})")
                widths[kind] = f"{kind}_sigma_{name}"
        tail = f"{digits(shape.cb_alpha)},{digits(shape.cb_n)}"
        terms = []
        for weight, moved in zip(WEIGHTS / 2, means, strict=True):
            ball, gauss = f"cb_{moved}", f"gauss_{moved}"
            self.make(f"CBShape::{ball}({self.mass},{moved},{widths['cb']},{tail})")
            self.make(f"Gaussian::{gauss}({self.mass},{moved},{widths['gauss']})")
            terms.append(f"{digits(weight * shape.cb_fraction)}*{ball}")
            terms.append(f"{digits(weight * (1 - shape.cb_fraction))}*{gauss}")
        # the last fraction follows from the others
        terms[-1] = terms[-1].partition("*")[2]
        self.make(f"SUM::{SIGNAL}_{name}({','.join(terms)})")
        return pulls

    def _background(self) -> list[str]:
        background, name = self.channel.background, self.name
        low, high = background.range
        pulls = [self._pull(f"slope_{self.channel.name}")]
        slope = f"({digits(background.slope)}+{digits(SLOPE_UNIT / (high - low))}*@1)"
        # densities are relative to that in the middle of the range
        middle = (low + high) / 2
        density = f"exp({slope}*(@0-{digits(middle)}))"
        for alternative, shape in background.alternatives.items():
            pulls.append(self._pull(f"background_{alternative}_{self.channel.name}"))
            exponential = float(background.per_gev([middle])[0])
            nominal = f"{digits(exponential)}*exp({digits(background.slope)}*(@0-{digits(middle)}))"
            ratio = f"({_density(shape)})/({nominal})"
            ratio = f"TMath::Max({digits(1 / MAX_RATIO)},TMath::Min({digits(MAX_RATIO)},{ratio}))"
            density += f"*pow({ratio},@{len(pulls)})"
        arguments = ",".join([self.mass, *pulls])
        self.make(f"EXPR::{BACKGROUND}_{name}('{density}',{{{arguments}}})")
        return pulls


def _density(shape: Shape) -> str:
    """Return the events per GeV of a power law or a polynomial at the mass ``@0``."""
    low, high = shape.range
    u = f"((@0-{digits(low)})/{digits(high - low)})"
    if shape.family == "polynomial":
        order = len(shape.parameters) - 1
        terms = [
            f"{digits(c * math.comb(order, k))}*pow({u},{k})*pow(1-{u},{order - k})"
            for k, c in enumerate(shape.parameters)
        ]
        return f"({'+'.join(terms)})/{digits(high - low)}"
    height, slope = shape.parameters
    at = f"log(@0/{digits(low)})/{digits(np.log(high / low))}" if shape.family == "power" else u
    return f"{digits(height / (high - low))}*exp({digits(slope)}*({at}-0.5))"
