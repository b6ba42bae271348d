"""``bphcoffea facility``: the places where analyses run."""

from __future__ import annotations

import typer

from bphcoffea import facilities, storage
from bphcoffea.cli.arguments import FacilityName, ProxyLifetime, Scheduler, with_option
from bphcoffea.cli.terminal import new_table, say, show_json, show_table
from bphcoffea.errors import InputError

app = typer.Typer(no_args_is_help=True, help="List, show and check the places where analyses run.")


@app.command("list")
def list_facilities() -> None:
    """List all facilities and the paths of their files."""
    paths = facilities.available_facilities()
    table = new_table("facility", "kind", "description", numbers=slice(0))
    for name, path in paths.items():
        try:
            facility = facilities.load_facility(str(path))
        except InputError as error:
            table.add_row(name, "?", str(error).splitlines()[0])
        else:
            table.add_row(name, facility.kind, facility.description)
    show_table(table)
    say("\n".join(f"{name}: {path}" for name, path in paths.items()))


@app.command("show")
def show_facility(facility: FacilityName) -> None:
    """Print all settings of a facility, defaults included."""
    show_json(facilities.load_facility(facility).model_dump_json())


@app.command("check")
def check_facility(
    facility: FacilityName,
    scheduler: Scheduler = None,
    min_proxy_lifetime: ProxyLifetime = 1,
) -> None:
    """Check proxy or token, certificates, redirectors, stage-out, workers and versions."""
    faults = 0
    loaded = facilities.load_facility(facility)
    for finding in facilities.check(loaded, min_proxy_lifetime, scheduler, storage.check_target):
        result = with_option(finding.fault) if finding.fault else finding.detail
        say(f"{'✗' if finding.fault else '✓'} {finding.subject}: {result}")
        faults += bool(finding.fault)
    if faults:
        raise typer.Exit(2)
