"""The command that shows whole analyses on toys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bphcoffea.cli.arguments import Executor, ExecutorOption, Output
from bphcoffea.cli.limits import limit
from bphcoffea.cli.runs import fit, plot, run, toys

app = typer.Typer()


@app.command()
def demo(
    output: Output = Path("demo"),
    events: Annotated[int, typer.Option(min=1, help="Toy events.")] = 200_000,
    executor: ExecutorOption = "futures",
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also τ → 3μ and the search for heavy neutral leptons."),
    ] = False,
) -> None:
    """Toys, run, fit and figures of Ds → φπ, in about a minute; with --all, the limits as well."""
    phi_pi = _run("ds_phipi", output, events, executor)
    fit(phi_pi, by="year")
    plot(phi_pi)
    if not everything:
        return
    # what the toys were made with: a quarter of the Ds from b hadrons, no trigger on three muons
    tau3mu = _run("tau3mu", output / "tau3mu", events, executor)
    limit(tau3mu, phi_pi, f_b=0.25, trimuon_only=1.0)
    plot(tau3mu)
    hnl = _run("hnl", output / "hnl", events, executor)
    limit(hnl, phi_pi, f_prompt=0.9, f_prompt_error=0.05)
    plot(hnl)


def _run(analysis: str, folder: Path, events: int, executor: Executor) -> Path:
    """Make the toys of an analysis and select them; gives the run's folder."""
    made, results = folder / "toys", folder / "run"
    toys(analysis, made, events, 1, overwrite=True)
    corrections = [made / "corrections.toml"]
    filesets = [made / "fileset.json"]
    run(analysis, filesets, results, corrections=corrections, executor=executor, overwrite=True)
    return results
