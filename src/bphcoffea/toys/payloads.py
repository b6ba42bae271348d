"""Corrections of the toys' simulation, in the formats in which CMS publishes corrections.

They depend neither on the seed nor on the number of events; ``python -m bphcoffea.toys FOLDER``
writes them alone.
"""

import gzip
import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from correctionlib import schemav2 as schema

from bphcoffea.toys.calibration import (
    IDENTIFICATION,
    INTERACTIONS_UNCERTAINTY,
    MOST_INTERACTIONS,
    RECONSTRUCTION,
    SOFT,
    ScaleFactors,
    pileup_weights,
)
from bphcoffea.toys.decay import Floats

PILEUP_CORRECTION: Final = "Collisions_toys_goldenJSON"
_SYNTHETIC = "Synthetic: made for toy samples, measured nowhere."
_DIGITS = 9  #: further digits would differ between processors

# golden.json is left out, because the truth counts all events, whether certified or not
_LUMINOSITY_FILES: Final = """table = "luminosity.csv"
"""
#: Content of ``corrections.toml``.
CORRECTIONS_TOML: Final = f'''name = "toys"
eras = ["2017*", "2018*"]

[luminosity]
{_LUMINOSITY_FILES}uncertainty = 0.025

[pileup]
file = "puWeights.json.gz"
name = "{PILEUP_CORRECTION}"
out_of_range = "error"

[muon_id]
file = "muon_JPsi.json.gz"
name = "NUM_LooseID_DEN_TrackerMuons"
out_of_range = "error"

[muon_reconstruction]
file = "muon_JPsi.json.gz"
name = "NUM_TrackerMuons_DEN_genTracks"
out_of_range = "error"

[momentum.muon]
scale = 0.0005
resolution = 0.003

[momentum.track]
scale = 0.0005
resolution = 0.003
'''
#: Corrections without the files that describe the events of one toy.
SHIPPED_TOML: Final = CORRECTIONS_TOML.replace(_LUMINOSITY_FILES, "")

#: Name and description of each table of scale factors.
_MUON_TABLES: Final = (
    ("NUM_LooseID_DEN_TrackerMuons", "Global and PF muons.", IDENTIFICATION),
    ("NUM_SoftID_DEN_TrackerMuons", "Soft muons; nothing in the toys was made with it.", SOFT),
    ("NUM_TrackerMuons_DEN_genTracks", "Reconstruction of tracker muons.", RECONSTRUCTION),
)
#: Edges of the bins of the trigger's efficiency: pT (GeV), significance of the impact parameter.
_TRIGGER_PT: Final = (3.0, 5.0, 6.0, 7.0, 8.0, 8.5, 9.0, 10.0, 10.5, 11.0, 12.0, 20.0, 100.0)
_TRIGGER_IP: Final = (0.0, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 500.0)


def payloads() -> dict[str, bytes]:
    """Return the content of the payload files by name, which is always the same."""
    return {
        "muon_JPsi.json.gz": _packed(*(_scale_factors(*table) for table in _MUON_TABLES)),
        "muon_JPsi_v1.json.gz": _packed(*(_older_scale_factors(*t) for t in _MUON_TABLES)),
        "puWeights.json.gz": _packed(_pileup()),
        "trigger.json.gz": _packed(
            _trigger("efficiency_data", 0.93), _trigger("efficiency_simulation", 0.96)
        ),
    }


def _packed(*corrections: schema.Correction) -> bytes:
    content = schema.CorrectionSet(
        schema_version=2, description=_SYNTHETIC, corrections=list(corrections)
    )
    buffer = io.BytesIO()
    # without name and time, so that the bytes are reproducible
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content.model_dump_json(exclude_unset=True).encode())
    return buffer.getvalue()


def _scale_factors(name: str, description: str, table: ScaleFactors) -> schema.Correction:
    """Return a table in the current format of the Muon POG."""
    return _correction(
        name,
        description,
        {
            "eta": "Signed pseudorapidity",
            "pt": "Transverse momentum, GeV",
            "scale_factors": "nominal, stat, syst, systup, systdown",
        },
        "scale factor",
        _table(("eta", table.eta.tolist()), table.pt.tolist(), "scale_factors", "nominal", table),
    )


def _older_scale_factors(name: str, description: str, table: ScaleFactors) -> schema.Correction:
    """Return a table in |η| in the older format of the Muon POG."""
    folded = table.folded
    pt: list[float | str] = [*folded.pt.tolist()[:-1], "inf"]
    return _correction(
        name,
        description,
        {
            "year": "2018_UL",
            "abseta": "Magnitude of the pseudorapidity",
            "pt": "Transverse momentum, GeV",
            "ValType": "sf, stat, syst, systup, systdown",
        },
        "scale factor",
        _category(
            "year",
            {"2018_UL": _table(("abseta", folded.eta.tolist()), pt, "ValType", "sf", folded)},
        ),
    )


def _table(
    eta: tuple[str, Sequence[float | str]],
    pt: Sequence[float | str],
    kind: str,
    nominal: str,
    table: ScaleFactors,
) -> schema.Binning:
    """Return bins of η and pT, each with the ratio and its uncertainties."""
    total = np.hypot(table.stat, table.syst)
    values = {
        nominal: table.nominal,
        "stat": table.stat,
        "syst": table.syst,
        "systup": table.nominal + total,
        "systdown": table.nominal - total,
    }
    return _grid(eta, ("pt", pt), kind, values)


def _pileup() -> schema.Correction:
    """Return the pile-up weights in the format of the LUM POG."""
    up = INTERACTIONS_UNCERTAINTY
    edges = np.arange(MOST_INTERACTIONS + 1.0).tolist()
    weights = {
        key: _binning(
            "NumTrueInteractions",
            edges,
            [_number(weight) for weight in pileup_weights(shift)],
            "clamp",
        )
        for key, shift in {"nominal": 0.0, "up": up, "down": -up}.items()
    }
    return _correction(
        PILEUP_CORRECTION,
        "Pile-up of data over that of MC.",
        {"NumTrueInteractions": "Number of interactions", "weights": "nominal, up, down"},
        "weight",
        _category("weights", weights),
    )


def _trigger(name: str, plateau: float) -> schema.Correction:
    """Return the efficiency of a trigger on a displaced muon, with a given plateau."""
    pt = np.array(_TRIGGER_PT[:-1])[:, np.newaxis]
    ip = np.array(_TRIGGER_IP[:-1])[np.newaxis]
    of_pt = 1 / (1 + np.exp(-(pt - 8.0) / 1.2))
    of_ip = 1 / (1 + np.exp(-(ip - 4.0) / 1.0))
    efficiency = 0.10 + (plateau - 0.10) * of_pt * of_ip
    stat = np.broadcast_to(0.004 + 0.02 * (1 - of_pt), efficiency.shape)
    return _correction(
        name,
        "Efficiency of a trigger on a displaced muon.",
        {
            "pt": "Transverse momentum, GeV",
            "ips_xy": "Significance of the transverse impact parameter",
            "scale_factors": "nominal, stat",
        },
        "efficiency",
        _grid(
            ("pt", _TRIGGER_PT),
            ("ips_xy", _TRIGGER_IP),
            "scale_factors",
            {"nominal": efficiency, "stat": stat},
        ),
    )


def _correction(
    name: str, description: str, inputs: Mapping[str, str], output: str, data: schema.Content
) -> schema.Correction:
    """Return a correction whose last input, and a year, are texts; inputs have descriptions."""
    *_, kind = inputs
    return schema.Correction(
        name=name,
        description=f"{description} {_SYNTHETIC}",
        version=1,
        inputs=[
            schema.Variable(
                name=key, type="string" if key in (kind, "year") else "real", description=text
            )
            for key, text in inputs.items()
        ],
        output=schema.Variable(name=output, type="real"),
        data=data,
    )


def _grid(
    rows: tuple[str, Sequence[float | str]],
    columns: tuple[str, Sequence[float | str]],
    kind: str,
    values: Mapping[str, Floats],
) -> schema.Binning:
    """Return bins of two inputs with a category of values; values outside are an error.

    Rows and columns have a name and edges; `kind` is the input that chooses one of the values.
    """
    content = [
        _binning(
            columns[0],
            columns[1],
            [
                _category(kind, {key: _number(table[row, column]) for key, table in values.items()})
                for column in range(len(columns[1]) - 1)
            ],
        )
        for row in range(len(rows[1]) - 1)
    ]
    return _binning(*rows, content)


def _binning(
    name: str, edges: Sequence[float | str], content: Sequence[schema.Content], flow: str = "error"
) -> schema.Binning:
    # validated, because the type of the edges admits only some strings
    return schema.Binning.model_validate(
        {
            "nodetype": "binning",
            "input": name,
            "edges": list(edges),
            "content": list(content),
            "flow": flow,
        }
    )


def _category(name: str, content: Mapping[str, schema.Content]) -> schema.Category:
    items = [schema.CategoryItem(key=key, value=value) for key, value in content.items()]
    return schema.Category(nodetype="category", input=name, content=items)


def _number(value: float) -> float:
    return round(float(value), _DIGITS)
