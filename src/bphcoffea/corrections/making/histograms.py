"""Corrections from histograms of scale factors or efficiencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from correctionlib import schemav2 as schema

from bphcoffea.arrays import Floats
from bphcoffea.corrections.making.sources import Histogram, read_histogram
from bphcoffea.errors import CorrectionsError

_SCALE_FACTORS: Final = schema.Variable(name="scale_factors", type="string")


@dataclass(frozen=True)
class Converted:
    """A correction, and notes for the user on how it was made.

    Attributes
    ----------
    correction
        The correction.
    notes
        Notes of one line each.
    """

    correction: schema.Correction
    notes: tuple[str, ...] = ()


def from_histogram(
    source: str,
    name: str,
    inputs: Sequence[str],
    *,
    flow: Literal["error", "clamp"] = "error",
) -> Converted:
    """Make a correction from a histogram of scale factors or efficiencies.

    Its last input is ``scale_factors``: ``nominal`` is the content of the bin and ``stat`` its
    absolute error. For a TEfficiency, ``nominal`` is the efficiency (0 in a bin without events),
    ``down`` and ``up`` are the ends of the 68.3% interval of Clopper and Pearson, and ``stat`` is
    half its width.

    Parameters
    ----------
    source
        ``file.root:path/of/histogram``, a TH1, TH2 or TEfficiency. The last colon separates
        file and histogram, so that the file may be a URL.
    name
        Name of the correction.
    inputs
        Names of the variables of its axes, x first.
    flow
        Treatment of values outside the bins: an error, or the value of the nearest bin.

    Returns
    -------
    Converted
        A note lists the bins whose content is 0.

    Raises
    ------
    CorrectionsError
        If the file or the histogram is missing, the histogram is of another class, its contents are
        negative, not finite, or all 0, or it has another number of axes than there are inputs.
    """
    histogram = read_histogram(source, efficiency=True)
    if len(inputs) != histogram.values.ndim:
        raise CorrectionsError(
            f"{source}: has {histogram.values.ndim} axes, but {len(inputs)} names of inputs were "
            f"given ({', '.join(inputs)}); give one for each axis, x first"
        )
    if len({*inputs, _SCALE_FACTORS.name}) <= len(inputs):
        raise CorrectionsError(
            f"{source}: the inputs {', '.join(inputs)} must differ from each other, and from "
            f"'{_SCALE_FACTORS.name}', which is added"
        )
    contents = {"nominal": histogram.values, "stat": histogram.errors}
    if histogram.interval:
        contents["down"], contents["up"] = histogram.interval
    variables = [schema.Variable(name=variable, type="real") for variable in inputs]
    correction = schema.Correction(
        name=name,
        version=1,
        inputs=[*variables, _SCALE_FACTORS],
        output=schema.Variable(name="weight", type="real"),
        data=category(
            _SCALE_FACTORS.name,
            {key: binned(values, histogram, inputs, flow) for key, values in contents.items()},
        ),
    )
    zero = histogram.values == 0
    if not zero.any():
        return Converted(correction)
    bins = histogram.bins(zero, inputs)
    return Converted(correction, (f"{np.count_nonzero(zero)} of {zero.size} bins are 0: {bins}",))


def category(variable: str, values: Mapping[str, schema.Content]) -> schema.Category:
    """Return a node with contents for the keys of an input."""
    items = [schema.CategoryItem(key=key, value=value) for key, value in values.items()]
    return schema.Category(nodetype="category", input=variable, content=items)


def binned(
    values: Floats, histogram: Histogram, inputs: Sequence[str], flow: Literal["error", "clamp"]
) -> schema.Binning | schema.MultiBinning:
    """Return a node with values in the bins of a histogram, whose axes are inputs."""
    edges = [axis.tolist() for axis in histogram.edges]
    content: list[schema.Content] = [*values.ravel().tolist()]
    if len(inputs) == 1:
        return schema.Binning(
            nodetype="binning", input=inputs[0], edges=edges[0], content=content, flow=flow
        )
    return schema.MultiBinning(
        nodetype="multibinning", inputs=list(inputs), edges=edges, content=content, flow=flow
    )
