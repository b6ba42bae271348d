"""Corrections of the toys' simulation, in the formats in which CMS publishes corrections.

They depend neither on the seed nor on the number of events; ``python -m bphcoffea.toys FOLDER`` writes them alone.
"""

import gzip
import io
from collections.abc import Callable, Sequence
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
    values = _uncertainties("nominal", table)
    return schema.Correction(
        name=name,
        description=f"{description} {_SYNTHETIC}",
        version=1,
        inputs=[
            _input("eta", "real", "Signed pseudorapidity"),
            _input("pt", "real", "Transverse momentum, GeV"),
            _input("scale_factors", "string", "nominal, stat, syst, systup, systdown"),
        ],
        output=_output("scale factor"),
        data=_grid(
            ("eta", _edges(table.eta)),
            ("pt", _edges(table.pt)),
            lambda row, column: _category(
                "scale_factors", {key: _number(v[row, column]) for key, v in values.items()}
            ),
        ),
    )


def _older_scale_factors(name: str, description: str, table: ScaleFactors) -> schema.Correction:
    """Return a table in |η| in the older format of the Muon POG."""
    folded = table.folded
    values = _uncertainties("sf", folded)
    return schema.Correction(
        name=name,
        description=f"{description} {_SYNTHETIC}",
        version=1,
        inputs=[
            _input("year", "string", "2018_UL"),
            _input("abseta", "real", "Magnitude of the pseudorapidity"),
            _input("pt", "real", "Transverse momentum, GeV"),
            _input("ValType", "string", "sf, stat, syst, systup, systdown"),
        ],
        output=_output("scale factor"),
        data=_category(
            "year",
            {
                "2018_UL": _grid(
                    ("abseta", _edges(folded.eta)),
                    ("pt", [*_edges(folded.pt)[:-1], "inf"]),
                    lambda row, column: _category(
                        "ValType", {key: _number(v[row, column]) for key, v in values.items()}
                    ),
                )
            },
        ),
    )


def _uncertainties(nominal: str, table: ScaleFactors) -> dict[str, Floats]:
    total = np.hypot(table.stat, table.syst)
    return {
        nominal: table.nominal,
        "stat": table.stat,
        "syst": table.syst,
        "systup": table.nominal + total,
        "systdown": table.nominal - total,
    }


def _pileup() -> schema.Correction:
    """Return the pile-up weights in the format of the LUM POG."""
    up = INTERACTIONS_UNCERTAINTY
    weights = {"nominal": 0.0, "up": up, "down": -up}
    return schema.Correction(
        name=PILEUP_CORRECTION,
        description=f"Pile-up of data over that of MC. {_SYNTHETIC}",
        version=1,
        inputs=[
            _input("NumTrueInteractions", "real", "Number of interactions"),
            _input("weights", "string", "nominal, up, down"),
        ],
        output=_output("weight"),
        data=_category(
            "weights",
            {
                key: schema.Binning(
                    nodetype="binning",
                    input="NumTrueInteractions",
                    edges=[float(edge) for edge in range(MOST_INTERACTIONS + 1)],
                    content=[_number(weight) for weight in pileup_weights(shift)],
                    flow="clamp",
                )
                for key, shift in weights.items()
            },
        ),
    )


def _trigger(name: str, plateau: float) -> schema.Correction:
    """Return the efficiency of a trigger on a displaced muon, with a given plateau."""
    pt = np.array(_TRIGGER_PT[:-1])[:, np.newaxis]
    ip = np.array(_TRIGGER_IP[:-1])[np.newaxis]
    of_pt = 1 / (1 + np.exp(-(pt - 8.0) / 1.2))
    of_ip = 1 / (1 + np.exp(-(ip - 4.0) / 1.0))
    efficiency = 0.10 + (plateau - 0.10) * of_pt * of_ip
    stat = 0.004 + 0.02 * (1 - of_pt)
    return schema.Correction(
        name=name,
        description=f"Efficiency of a trigger on a displaced muon. {_SYNTHETIC}",
        version=1,
        inputs=[
            _input("pt", "real", "Transverse momentum, GeV"),
            _input("ips_xy", "real", "Significance of the transverse impact parameter"),
            _input("scale_factors", "string", "nominal, stat"),
        ],
        output=_output("efficiency"),
        data=_grid(
            ("pt", list(_TRIGGER_PT)),
            ("ips_xy", list(_TRIGGER_IP)),
            lambda row, column: _category(
                "scale_factors",
                {"nominal": _number(efficiency[row, column]), "stat": _number(stat[row, 0])},
            ),
        ),
    )


def _grid(
    outer: tuple[str, Sequence[float | str]],
    inner: tuple[str, Sequence[float | str]],
    cell: Callable[[int, int], schema.Content],
) -> schema.Binning:
    """Return bins of one input, each with bins of another; values outside are an error."""
    (first, rows), (second, columns) = outer, inner
    return _binning(
        first,
        rows,
        [
            _binning(second, columns, [cell(row, column) for column in range(len(columns) - 1)])
            for row in range(len(rows) - 1)
        ],
    )


def _binning(
    name: str, edges: Sequence[float | str], content: list[schema.Content]
) -> schema.Binning:
    # validated, because the type of the edges admits only some strings
    return schema.Binning.model_validate(
        {
            "nodetype": "binning",
            "input": name,
            "edges": list(edges),
            "content": content,
            "flow": "error",
        }
    )


def _category(name: str, content: dict[str, schema.Content]) -> schema.Category:
    items = [schema.CategoryItem(key=key, value=value) for key, value in content.items()]
    return schema.Category(nodetype="category", input=name, content=items)


def _input(name: str, kind: str, description: str) -> schema.Variable:
    return schema.Variable.model_validate({"name": name, "type": kind, "description": description})


def _output(name: str) -> schema.Variable:
    return schema.Variable.model_validate({"name": name, "type": "real"})


def _edges(values: Floats) -> list[float]:
    return [float(value) for value in values]


def _number(value: float) -> float:
    return round(float(value), _DIGITS)
