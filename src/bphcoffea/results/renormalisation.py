"""Looking up the luminosity of a finished run anew."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from bphcoffea.errors import InputError
from bphcoffea.luminosity import GoldenJson, LuminosityTable, from_ranges
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.luminosities import Certification, Luminosities
from bphcoffea.results.normalisation import normalise
from bphcoffea.results.records import as_json


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
        Certified luminosity sections; those that the data of the run were selected with, which is
        compared by content. A file that was moved since the run is given here.
    table
        Luminosity by section; the one that the run was made with where none is given.
    uncertainty
        Relative; that of the run where none is given.

    Raises
    ------
    InputError
        When a file can't be read, or data were selected with other certified sections: then
        the luminosity would change, but not the data.
    """
    made_with = run.read("provenance.json").get("corrections", [])

    @cache
    def certification(era: str) -> Certification:
        of_era = [each for each in made_with if any(fnmatchcase(era, p) for p in each["eras"])]
        known: dict[str, Any] = of_era[0]["luminosity"] if of_era else {}
        lookup = table or (Path(known["table"]["file"]) if "table" in known else None)
        return Certification(
            _golden(era, known.get("golden"), golden),
            LuminosityTable.load(lookup) if lookup else None,
            known.get("uncertainty", 0.0) if uncertainty is None else uncertainty,
        )

    sections = {name: from_ranges(ranges) for name, ranges in run.read("lumis.json").items()}
    counts = run.read("ledger.json")["datasets"]
    luminosities = Luminosities.of(run.fileset_metadata, sections, counts, certification)
    generator_sumw = {name: known.generator_sumw for name, known in run.normalisation.items()}
    normalisation = normalise(run.fileset_metadata, generator_sumw, counts, luminosities)
    run.write("luminosity.json", luminosities.as_json())
    run.write("normalisation.json", as_json(normalisation))


def _golden(
    era: str, selected_with: Mapping[str, str] | None, given: Path | None
) -> GoldenJson | None:
    """Load the certified sections that the data of an era were selected with.

    Parameters
    ----------
    era
        Whose data.
    selected_with
        ``file`` and ``sha256`` of the certification that the run used; None if it used none.
    given
        Another place of that file; None for the same place.
    """
    if selected_with is None:
        if given is None:
            return None
        raise InputError(
            f"{given}: the data of {era} were selected without certified sections; "
            f"{_select_anew(given)}"
        )
    loaded = GoldenJson.load(given or selected_with["file"])
    if loaded.sha256 == selected_with["sha256"]:
        return loaded
    if given is not None:
        raise InputError(
            f"{given}: the data of {era} were selected with other certified sections, "
            f"{selected_with['file']}; {_select_anew(given)}"
        )
    raise InputError(
        f"{selected_with['file']}: has changed since the data of {era} were selected with it; "
        "restore it, or run again"
    )


def _select_anew(golden: Path) -> str:
    return (
        f'set golden = "{golden.name}" in [luminosity] of the corrections of that era, '
        "and run again with them"
    )
