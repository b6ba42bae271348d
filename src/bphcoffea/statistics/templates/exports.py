"""A template model as a workspace of pyhf, and as a datacard of Combine: the same likelihood.

Yields are interpolated exponentially and shapes by polynomials in both; a shape is stored at the
nominal yield, apart from the factor of the yield, as Combine does it by itself. With pyhf's
interpolation ``code4p`` of shapes, and ``code1`` or ``code4`` of yields, these differ: asymmetric
factors within half or one standard deviation (by 0.7% of the yield for 0.85/1.3); negative bins,
which Combine sets to zero; and statistical uncertainties, which Combine scales with each process.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import hist
import numpy as np
import uproot

from bphcoffea.arrays import Floats
from bphcoffea.statistics.counting import factor
from bphcoffea.statistics.datacards import DATA, Card, Column
from bphcoffea.statistics.templates.model import Effect, ModelChannel, Sample, TemplateModel
from bphcoffea.statistics.workspace import (
    BLINDED,
    OBSERVED,
    ChannelSpec,
    Modifier,
    ParameterSpec,
    SampleSpec,
    Templates,
    Workspace,
)

#: Name of the file of the templates of a datacard.
SHAPES = "shapes.root"


def template_workspace(model: TemplateModel) -> Workspace:
    """Return the workspace of a model, valid against pyhf's schema.

    Its measurement is called ``workspace.BLINDED`` if expectations take the place of any data.
    """
    parameters: list[ParameterSpec] = [
        {"name": name, "inits": [1.0], "bounds": [list(bounds)]}
        for name, bounds in model.bounds.items()
    ]
    channels: list[ChannelSpec] = [
        {"name": c.name, "samples": [_sample(model, c, sample) for sample in c.samples]}
        for c in model.channels
    ]
    name = BLINDED if model.blinded else OBSERVED
    return {
        "channels": channels,
        "observations": [{"name": c.name, "data": c.observed.tolist()} for c in model.channels],
        "measurements": [{"name": name, "config": {"poi": model.poi, "parameters": parameters}}],
        "version": "1.0.0",
    }


def _sample(model: TemplateModel, channel: ModelChannel, sample: Sample) -> SampleSpec:
    free = (model.poi, *sample.free) if sample.signal else sample.free
    modifiers: list[Modifier] = [factor(name) for name in free]
    for name, effect in sample.effects.items():
        if effect.factors is not None:
            down, up = effect.factors
            modifiers.append({"name": name, "type": "normsys", "data": {"hi": up, "lo": down}})
        if effect.shapes is not None:
            low, high = (shape.tolist() for shape in effect.shapes)
            data: Templates = {"hi_data": high, "lo_data": low}
            modifiers.append({"name": name, "type": "histosys", "data": data})
    if model.statistics and np.any(sample.errors):
        name = f"staterror_{channel.name}"
        modifiers.append({"name": name, "type": "staterror", "data": sample.errors.tolist()})
    return {"name": sample.name, "data": sample.nominal.tolist(), "modifiers": modifiers}


def write_template_datacard(model: TemplateModel, path: Path) -> None:
    """Write a datacard of Combine, and beside it ``shapes.root`` with its templates.

    Parameters
    ----------
    model
        The model.
    path
        File of the text.
    """
    numbers = _numbers(model)
    with uproot.recreate(path.with_name(SHAPES)) as file:
        for channel in model.channels:
            file[f"{channel.name}/{DATA}"] = _histogram(channel.edges, channel.observed)
            for sample in channel.samples:
                place = f"{channel.name}/{sample.name}"
                file[place] = _histogram(channel.edges, sample.nominal, sample.errors)
                for name, effect in sample.effects.items():
                    if effect.shapes is not None:
                        for index, side in enumerate(("Down", "Up")):
                            scale = effect.factors[index] if effect.factors else 1.0
                            values = effect.shapes[index] * scale
                            file[f"{place}_{name}{side}"] = _histogram(channel.edges, values)
    pairs = [(channel, sample) for channel in model.channels for sample in channel.samples]
    card = Card(
        {channel.name: f"{np.sum(channel.observed):.10g}" for channel in model.channels},
        [Column(c.name, s.name, numbers[s.name], f"{np.sum(s.nominal):.10g}") for c, s in pairs],
        digits=10,
        width=max(16, *(len(column) for pair in pairs for column in (pair[0].name, pair[1].name))),
    )
    for name in model.nuisances:
        effects = {i: s.effects[name] for i, (_, s) in enumerate(pairs) if name in s.effects}
        card.add(
            name, _kind(effects.values()), {i: _value(effect) for i, effect in effects.items()}
        )
    pattern = "$CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC"
    text = card.text(f"shapes * * {SHAPES} {pattern}", "-" * 20)
    for channel, sample in pairs:
        for name in sample.free:
            low, high = model.bounds[name]
            text += f"{name} rateParam {channel.name} {sample.name} 1 [{low:g},{high:g}]\n"
    if model.statistics:
        # the signal counts where bins are chosen, and always in the sum of the errors
        text += "* autoMCStats 0 1\n"
    path.write_text(text, encoding="utf-8")


def _numbers(model: TemplateModel) -> dict[str, int]:
    """Return the number of each process: signals from 0 downwards, backgrounds from 1 upwards."""
    samples = [sample for channel in model.channels for sample in channel.samples]
    signals = list(dict.fromkeys(sample.name for sample in samples if sample.signal))
    others = list(dict.fromkeys(sample.name for sample in samples if not sample.signal))
    return {name: -i for i, name in enumerate(signals)} | {
        name: i + 1 for i, name in enumerate(others)
    }


def _kind(effects: Collection[Effect]) -> str:
    with_shapes = [effect.shapes is not None for effect in effects]
    # "shape?" takes templates where there are any, and else the factors of the column
    return "shape" if all(with_shapes) else "shape?" if any(with_shapes) else "lnN"


def _value(effect: Effect) -> float | tuple[float, float]:
    if effect.shapes is not None or effect.factors is None:
        return 1.0
    down, up = effect.factors
    # a single number stands for a symmetric log-normal
    return up if np.isclose(down * up, 1, rtol=1e-9, atol=0) else (down, up)


def _histogram(edges: Floats, values: Floats, errors: Floats | None = None) -> hist.Hist:
    histogram = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight())
    histogram.view()["value"] = values
    histogram.view()["variance"] = 0.0 if errors is None else errors**2
    return histogram
