"""Recompute the luminosity of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from bphcoffea.errors import CorrectionsError
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
    """Recompute the luminosity of a run, and rewrite luminosity.json and normalisation.json.

    Parameters
    ----------
    run
        The run.
    golden
        Certified luminosity sections with which the data were selected; by default at the path that
        the run recorded. Needed only if the file was moved: its content must be the same.
    table
        Luminosity by section; by default the table of the run.
    uncertainty
        Relative uncertainty of the luminosity; by default that of the run.

    Raises
    ------
    CorrectionsError
        If a file cannot be read, or the data were selected with other certified sections, so that
        the luminosity would change but not the data.
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
    of_variations = {name: known.sums_of_variations for name, known in run.normalisation.items()}
    normalisation = normalise(
        run.fileset_metadata, generator_sumw, counts, luminosities, of_variations
    )
    run.write("luminosity.json", luminosities.as_json())
    run.write("normalisation.json", as_json(normalisation))


def _golden(
    era: str, selected_with: Mapping[str, str] | None, given: Path | None
) -> GoldenJson | None:
    """Load the certified sections that the data of an era were selected with.

    Parameters
    ----------
    era
        Era of the data.
    selected_with
        ``file`` and ``sha256`` of the certification that the run used; None if it used none.
    given
        New path of that file; None if it was not moved.
    """
    if selected_with is None:
        if given is None:
            return None
        GoldenJson.load(given)  # a file that cannot be read is the first thing to mend
        raise CorrectionsError(
            f"{given}: the data of {era} were selected without certified sections; "
            f"{_how_to_select(given)}"
        )
    loaded = GoldenJson.load(given or selected_with["file"])
    if loaded.sha256 == selected_with["sha256"]:
        return loaded
    if given is not None:
        raise CorrectionsError(
            f"{given}: the data of {era} were selected with other certified sections, "
            f"{selected_with['file']}; {_how_to_select(given)}"
        )
    raise CorrectionsError(
        f"{selected_with['file']}: has changed since the data of {era} were selected with it; "
        "restore it, or run again"
    )


def _how_to_select(golden: Path) -> str:
    return (
        f'set golden = "{golden.name}" in [luminosity] of the corrections of that era, '
        "and run again with them"
    )
