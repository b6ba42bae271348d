"""Writing of all figures of a run.

Nothing here imports matplotlib before the processes that draw have started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from bphcoffea.patterns import matching
from bphcoffea.presentation.drawing import drawing_pool
from bphcoffea.presentation.labels import LabelledRun, Labels
from bphcoffea.presentation.options import FigureOptions
from bphcoffea.results import RunFolder
from bphcoffea.statistics import check_unblinding

_log = logging.getLogger(__name__)


def plot_run(
    run: RunFolder,
    options: FigureOptions | None = None,
    *,
    labels: Labels | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Draw figures of a run into the folder ``figures``, in several processes if there are many.

    Data are summed; simulated datasets are summed by process. A fitted mass histogram is drawn
    with its fit, and a spectrum with the labels of its declared resonances. If all simulation can
    be scaled to the luminosity of the data, or to that of its metadata if there are no data, it is
    stacked, with the band of all variations and the ratio. Texts that cannot be drawn as they are
    meant are logged.

    Parameters
    ----------
    run
        Folder of a finished run.
    options
        Choice and look of the figures.
    labels
        Texts that replace those of the run.
    progress
        Called with the number of drawn figures, and of all figures.

    Returns
    -------
    The paths of the new files: a PNG of each figure, and a PDF if asked for. They replace the
    figures of an earlier call, all at once; other files stay.

    Raises
    ------
    StillBlindError
        If data are to be unblinded and the run left them out.
    RunError
        If a pattern matches no histogram, category, dataset or variation of the run.
    UnwritableError
        If the files cannot be written; earlier figures stay.
    """
    options = options or FigureOptions()
    if options.unblind:
        check_unblinding(run)
    formats = ("png", "pdf") if options.pdf else ("png",)
    label = options.experiment, options.status
    labelled = LabelledRun(run, labels)
    number = len(matching(run.analysis.histograms, options.histograms or "*"))
    with drawing_pool(number, options.processes) as pool:
        # the other processes import the same meanwhile
        from bphcoffea.presentation.run_figures import jobs_of_run
        from bphcoffea.presentation.style import FIGURES, name_of_its_own

        with run.replacing(FIGURES) as temporary:
            folder = temporary / FIGURES
            folder.mkdir()
            taken: set[str] = set()
            jobs = [
                [(name_of_its_own(name, taken), draw) for name, draw in job]
                for job in jobs_of_run(labelled, options)
            ]
            paths = pool.draw(jobs, folder, formats, label, progress)
    for note in labelled.notes:
        _log.warning("%s", note)
    return [run.output / FIGURES / path.name for path in paths]
