"""Commands for the places where analyses run."""

from __future__ import annotations

import typer
from rich.table import Table

from bphcoffea.cli.arguments import FacilityName, ProxyLifetime, Scheduler
from bphcoffea.cli.remedies import with_option
from bphcoffea.cli.terminal import console, say
from bphcoffea.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Places where analyses run.")


@app.command("list")
def list_facilities() -> None:
    """The facilities there are, and where their files lie."""
    from bphcoffea.facilities import available_facilities, load_facility

    there = available_facilities()
    table = Table("facility", "kind", "what it is")
    for name, path in there.items():
        try:
            known = load_facility(str(path))
        except InputError as error:
            table.add_row(name, "?", str(error).splitlines()[0])
        else:
            table.add_row(name, known.kind, known.description)
    console.print(table)
    say("\n".join(f"{name}: {path}" for name, path in there.items()))


@app.command("show")
def show_facility(facility: FacilityName) -> None:
    """All that is known of a facility, with what it leaves to the defaults."""
    from bphcoffea.facilities import load_facility

    console.print_json(load_facility(facility).model_dump_json())


@app.command("check")
def check_facility(
    facility: FacilityName,
    scheduler: Scheduler = None,
    min_proxy_lifetime: ProxyLifetime = 1,
) -> None:
    """Look at proxy, certificates, redirectors, stage-out, workers and versions."""
    from bphcoffea.facilities import load_facility
    from bphcoffea.facilities.facility_check import check
    from bphcoffea.storage.stageout import check_target

    faults = 0
    known = load_facility(facility)
    for finding in check(known, min_proxy_lifetime, scheduler, check_target):
        result = with_option(finding.fault) if finding.fault else finding.detail
        say(f"{'✗' if finding.fault else '✓'} {finding.subject}: {result}")
        faults += bool(finding.fault)
    if faults:
        raise typer.Exit(2)
