"""Making correctionlib files from what scale factors and weights are handed around as."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from correctionlib.schemav2 import (
    Binning,
    Category,
    CategoryItem,
    Correction,
    CorrectionSet,
    MultiBinning,
    Variable,
)

from bphcoffea.corrections.making.schema1 import upgrade_schema_1
from bphcoffea.corrections.making.sources import (
    Floats,
    Histogram,
    read_histogram,
    read_json,
    read_numbers,
)
from bphcoffea.corrections.making.tag_and_probe import from_tag_and_probe_json
from bphcoffea.errors import InputError

__all__ = [
    "Converted",
    "from_histogram",
    "from_json",
    "from_tag_and_probe_json",
    "pileup_from_histograms",
    "pileup_from_profiles",
    "upgrade_schema_1",
    "write",
]

#: Largest part of the data's pileup profile that may have no simulated events.
MOST_LOST = 0.01
#: Edges of two histograms are the same if they differ by less of a bin's width than this.
_SAME = 1e-6

_SCALE_FACTORS = Variable(name="scale_factors", type="string")
_NUM_TRUE_INTERACTIONS = Variable(
    name="NumTrueInteractions", type="real", description="Number of true interactions"
)
_PILEUP_WEIGHTS = Variable(
    name="weights", type="string", description="nominal, up, or down, where there are such"
)
#: Suffixes of files that hold a list of probabilities, one an interaction.
_LISTS = (".json", ".txt", ".csv", ".dat")


@dataclass(frozen=True)
class Converted:
    """A correction, and what a person should know of how it was made.

    Attributes
    ----------
    correction
        The correction.
    notes
        One line each.
    """

    correction: Correction
    notes: tuple[str, ...] = ()


def from_histogram(
    source: str,
    name: str,
    inputs: Sequence[str],
    *,
    flow: Literal["error", "clamp"] = "error",
    description: str | None = None,
) -> Converted:
    """A correction from a histogram of scale factors or efficiencies.

    Beside those given it has the input ``scale_factors``: ``nominal`` is the content of the bin and
    ``stat`` its error, absolute. Of a TEfficiency ``nominal`` is the efficiency (0 in a bin without
    events), ``down`` and ``up`` are the ends of the 68.3% interval of Clopper and Pearson, and
    ``stat`` is half its width.

    Parameters
    ----------
    source
        ``file.root:path/of/histogram``, a TH1, TH2 or TEfficiency. The last colon separates, so
        that the file may be a URL.
    name
        Name of the correction.
    inputs
        Names of the variables of its axes, x first.
    flow
        What becomes of values beyond the bins: an error, or the value of the nearest bin.
    description
        What it is, for people.

    Returns
    -------
    Converted
        A note tells the bins whose content is 0.

    Raises
    ------
    InputError
        When the file or the histogram is missing, is of another class, holds contents that are
        negative, no numbers, or all 0, or has another number of axes than there are inputs.
    """
    histogram = read_histogram(source, efficiency=True)
    if len(inputs) != histogram.values.ndim:
        raise InputError(
            f"{source}: has {histogram.values.ndim} axes, but {len(inputs)} names of inputs were "
            f"given ({', '.join(inputs)}); give one for each axis, x first"
        )
    if len({*inputs, _SCALE_FACTORS.name}) <= len(inputs):
        raise InputError(
            f"{source}: the inputs {', '.join(inputs)} must differ from each other, and from "
            f"'{_SCALE_FACTORS.name}', which is added"
        )
    contents = {"nominal": histogram.values, "stat": histogram.errors}
    if histogram.interval:
        contents["down"], contents["up"] = histogram.interval
    correction = Correction(
        name=name,
        description=description,
        version=1,
        inputs=[*(Variable(name=of_axis, type="real") for of_axis in inputs), _SCALE_FACTORS],
        output=Variable(name="weight", type="real"),
        data=_category(
            _SCALE_FACTORS.name,
            {key: _binned(values, histogram, inputs, flow) for key, values in contents.items()},
        ),
    )
    zero = histogram.values == 0
    if not zero.any():
        return Converted(correction)
    bins = histogram.bins(zero, inputs)
    return Converted(correction, (f"{np.count_nonzero(zero)} of {zero.size} bins are 0: {bins}",))


def pileup_from_histograms(
    nominal: str, name: str, up: str | None = None, down: str | None = None
) -> Converted:
    """Pileup weights from histograms of weights.

    The correction has the inputs and the structure of the files of CMS's luminosity group
    (``puWeights.json.gz``): ``NumTrueInteractions`` and ``weights``, which is nominal, up or down.
    Beyond the bins the nearest one counts.

    Parameters
    ----------
    nominal, up, down
        ``file.root:path/of/histogram``, each a TH1 of weights. Up and down are given both, or
        neither: then the correction has nominal alone.
    name
        Name of the correction.

    Raises
    ------
    InputError
        As :func:`from_histogram` does, and when only one of up and down is given.
    """
    histograms = {key: _one_axis(of) for key, of in _variations(nominal, up, down).items()}
    return Converted(_pileup(name, histograms))


def pileup_from_profiles(
    data: str,
    simulation: str,
    name: str,
    data_up: str | None = None,
    data_down: str | None = None,
) -> Converted:
    """Pileup weights from the profiles of data and simulation.

    Each profile is normalised to 1, and data's divided by the simulation's. Where nothing is
    simulated the weight is 0; what data have there is lost, so that the mean weight of simulated
    events is less than 1 by as much. The inputs are those of :func:`pileup_from_histograms`.

    Parameters
    ----------
    data, data_up, data_down
        ``file.root:path/of/histogram``, each a TH1 as ``pileupCalc`` makes it: nominal, and with
        the cross section of inelastic collisions shifted. Up and down are given both, or neither.
    simulation
        The same, or a text or JSON list of the probabilities of 0, 1, 2, … interactions, known by
        its suffix: .json, .txt, .csv, .dat.
    name
        Name of the correction.

    Returns
    -------
    Converted
        A note tells the part of a profile of data that is lost.

    Raises
    ------
    InputError
        As :func:`from_histogram` does; when bins differ in width or don't begin at common edges (a
        profile may reach further than the other), or when more than 1% of data are lost.
    """
    sources = _variations(data, data_up, data_down)
    simulated = _simulated(simulation)
    weights, notes = {}, []
    for key, source in sources.items():
        weights[key], lost = _ratio(_one_axis(source), simulated)
        # the sum of many bins is known no better
        if lost > len(weights[key].values) * np.finfo(float).eps:
            told = f"{100 * lost:.2g}% of the data's profile has no simulated events"
            if lost > MOST_LOST:
                raise InputError(
                    f"{source}: {told} in {simulation}; take the profile that was simulated"
                )
            notes.append(told if key == "nominal" else f"{key}: {told}")
    return Converted(_pileup(name, weights), tuple(notes))


def from_json(path: str | Path) -> list[Correction]:
    """Corrections from an older JSON: correctionlib's schema 1, or the Muon POG's tag and probe.

    Raises
    ------
    InputError
        When it can't be read or is neither.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "schema_version" not in content:
        return from_tag_and_probe_json(path)
    try:
        upgraded = upgrade_schema_1(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return [Correction.model_validate(each) for each in upgraded["corrections"]]


def write(corrections: Iterable[Correction], path: str | Path, description: str) -> Path:
    """Write corrections as a correctionlib file, whole or not at all.

    The same corrections give the same bytes.

    Parameters
    ----------
    corrections
        The corrections, of different names.
    path
        A ``.json`` or ``.json.gz``. Its folder is made.
    description
        What they are, for people.

    Raises
    ------
    InputError
        When the path has another suffix or cannot be written, when there is no correction, or two
        of one name.
    """
    target = Path(path)
    if not target.name.endswith((".json", ".json.gz")):
        raise InputError(f"{target}: a correctionlib file is called something.json or .json.gz")
    held = list(corrections)
    names = [correction.name for correction in held]
    if not names:
        raise InputError(f"{target}: there is no correction to write")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(
            f"{target}: corrections of the same name ({', '.join(doubled)}); give each its own"
        )
    content = CorrectionSet(schema_version=2, description=description, corrections=held)
    encoded = (content.model_dump_json(exclude_unset=True) + "\n").encode()
    if target.suffix == ".gz":
        encoded = _compressed(encoded)
    temporary = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(encoded)
            return temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None


def _compressed(content: bytes) -> bytes:
    """The content compressed, without a name or time of day in it."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def _category(variable: str, values: Mapping[str, Any]) -> Category:
    items = [CategoryItem(key=key, value=value) for key, value in values.items()]
    return Category(nodetype="category", input=variable, content=items)


def _binned(
    values: Floats, histogram: Histogram, inputs: Sequence[str], flow: Literal["error", "clamp"]
) -> Binning | MultiBinning:
    edges: list[Any] = [of_axis.tolist() for of_axis in histogram.edges]
    content: list[Any] = values.ravel().tolist()
    if len(inputs) == 1:
        return Binning(
            nodetype="binning", input=inputs[0], edges=edges[0], content=content, flow=flow
        )
    return MultiBinning(
        nodetype="multibinning", inputs=list(inputs), edges=edges, content=content, flow=flow
    )


def _variations(nominal: str, up: str | None, down: str | None) -> dict[str, str]:
    if up is None and down is None:
        return {"nominal": nominal}
    if up is None or down is None:
        raise InputError(f"{up or down}: up and down go together; give the other one as well")
    return {"nominal": nominal, "up": up, "down": down}


def _pileup(name: str, weights: Mapping[str, Histogram]) -> Correction:
    variable = _NUM_TRUE_INTERACTIONS.name
    return Correction(
        name=name,
        version=1,
        inputs=[_NUM_TRUE_INTERACTIONS, _PILEUP_WEIGHTS],
        output=Variable(
            name="weight", type="real", description="Event weight for pileup reweighting"
        ),
        data=_category(
            _PILEUP_WEIGHTS.name,
            {key: _binned(of.values, of, [variable], "clamp") for key, of in weights.items()},
        ),
    )


def _one_axis(source: str) -> Histogram:
    histogram = read_histogram(source)
    if histogram.values.ndim != 1:
        raise InputError(f"{source}: is a TH2; pileup has one axis, so give a TH1")
    return histogram


def _simulated(source: str) -> Histogram:
    if not source.endswith(_LISTS):
        return _one_axis(source)
    numbers = read_numbers(source)
    edges = np.arange(len(numbers) + 1, dtype=np.float64)
    return Histogram(source, (edges,), numbers, np.zeros_like(numbers))


def _ratio(data: Histogram, simulated: Histogram) -> tuple[Histogram, float]:
    """Weights in bins over the range of both, and the part of data where nothing is simulated."""
    width = _width(simulated)
    offset = (data.edges[0][0] - simulated.edges[0][0]) / width
    first = round(offset)
    bins = max(len(data.values), len(simulated.values))
    if abs(_width(data) / width - 1) * bins > _SAME or abs(offset - first) > _SAME:
        (of_data,), (of_simulation,) = data.edges, simulated.edges
        raise InputError(
            f"{data.source}: its bins ({len(of_data) - 1} from {of_data[0]:g} to {of_data[-1]:g}) "
            f"don't fit on those of {simulated.source} ({len(of_simulation) - 1} from "
            f"{of_simulation[0]:g} to {of_simulation[-1]:g}); make both with bins of the same "
            "width that begin at common edges"
        )
    begin = min(0, first)
    end = max(len(simulated.values), first + len(data.values))
    profiles = []
    for values, at in ((data.values, first), (simulated.values, 0)):
        profile = np.zeros(end - begin)
        profile[at - begin : at - begin + len(values)] = values / values.sum()
        profiles.append(profile)
    of_data, of_simulation = profiles
    weights = np.divide(of_data, of_simulation, out=np.zeros_like(of_data), where=of_simulation > 0)
    lost = float(of_data[of_simulation == 0].sum())
    edges = simulated.edges[0][0] + width * np.arange(begin, end + 1)
    return Histogram(data.source, (edges,), weights, np.zeros_like(weights)), lost


def _width(histogram: Histogram) -> float:
    """Width of the bins, which must be the same for all."""
    (edges,) = histogram.edges
    width = float(edges[-1] - edges[0]) / (len(edges) - 1)
    if np.abs(np.diff(edges) / width - 1).max() > _SAME:
        raise InputError(
            f"{histogram.source}: its bins differ in width; make the profile with equal ones"
        )
    return width
