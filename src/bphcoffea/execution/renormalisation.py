"""Looking up the luminosity of a finished run anew."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from bphcoffea.execution.folder import RunFolder
from bphcoffea.execution.normalisation import Certification, Luminosities, normalise
from bphcoffea.luminosity import GoldenJson, LuminosityTable, from_ranges


def renormalise(
    run: RunFolder,
    golden: Path | None = None,
    table: Path | None = None,
    uncertainty: float | None = None,
) -> None:
    """Look up the luminosity of a run anew: writes luminosity.json and normalisation.json.

    Parameters
    ----------
    run
        The folder of a finished run.
    golden
        Certified luminosity sections; those that the run was made with where none are given.
    table
        Luminosity by section; the one that the run was made with where none is given.
    uncertainty
        Relative; that of the run where none is given.

    Raises
    ------
    InputError
        When a file can't be read.
    """
    made_with = run.read("provenance.json").get("corrections", [])

    @cache
    def certification(era: str) -> Certification:
        of_era = [each for each in made_with if any(fnmatchcase(era, p) for p in each["eras"])]
        known: dict[str, Any] = of_era[0]["luminosity"] if of_era else {}
        files = {"golden": golden, "table": table}
        for name, given in files.items():
            if given is None and name in known:
                files[name] = Path(known[name]["file"])
        return Certification(
            GoldenJson.load(files["golden"]) if files["golden"] else None,
            LuminosityTable.load(files["table"]) if files["table"] else None,
            known.get("uncertainty", 0.0) if uncertainty is None else uncertainty,
        )

    before = run.read("normalisation.json")
    sections = {name: from_ranges(ranges) for name, ranges in run.read("lumis.json").items()}
    counts = run.read("ledger.json")["datasets"]
    luminosities = Luminosities.of(run.fileset_metadata, sections, counts, certification)
    sumw = {name: float(known["sumw"]) for name, known in before.items()}
    run.write("luminosity.json", luminosities.as_json())
    run.write("normalisation.json", normalise(run.fileset_metadata, sumw, counts, luminosities))
