"""Checks of templates: what is probably wrong with them, before they are prepared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from bphcoffea.analysis import ALL, TemplateFit, as_names, matches
from bphcoffea.arrays import Floats
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.templates.collection import Collection
from bphcoffea.statistics.templates.region_reader import CROSS_SECTION, LUMINOSITY
from bphcoffea.statistics.templates.significance import probabilities
from bphcoffea.statistics.templates.template import Sides, Template, TemplateChannel

#: Kinds of findings.
Kind: TypeAlias = Literal[
    "overlap",
    "unused",
    "empty",
    "negative",
    "identical",
    "one-sided",
    "large",
    "missing",
    "not significant",
    "noisy shape",
    "signal statistics",
]
#: Probability above which a difference is taken for a fluctuation.
FLUCTUATION = 0.05
#: Relative change above which a variation is large.
LARGE = 1.0
#: Relative change of a statistical uncertainty by the signal that is large.
LARGE_BY_SIGNAL = 0.5


@dataclass(frozen=True)
class Finding(Record):
    """Something that is probably wrong.

    Attributes
    ----------
    kind
        Kind of the finding.
    text
        What was found.
    channel, process, variation
        Where; empty if it concerns all.
    """

    kind: Kind
    text: str
    channel: str = ""
    process: str = ""
    variation: str = ""

    def __str__(self) -> str:
        where = " ".join(part for part in (self.channel, self.process, self.variation) if part)
        return f"{self.kind}: {f'{where}: ' if where else ''}{self.text}"


def lint(fit: TemplateFit, collection: Collection) -> list[Finding]:
    """Return what is probably wrong with the templates of a model.

    Parameters
    ----------
    fit
        The declaration.
    collection
        Templates of the runs.
    """
    return [
        *_of_model(fit, collection),
        *(
            finding
            for channel in collection.channels
            for finding in _of_channel(fit, channel, collection.signal)
        ),
        *_missing(collection),
    ]


def _of_model(fit: TemplateFit, collection: Collection) -> Iterator[Finding]:
    regions = [region.name for region in fit.fit_regions]
    if ALL in regions and len(regions) > 1:
        yield Finding("overlap", f"the region '{ALL}' contains the events of all others")
    for (first, second), events in collection.overlaps.items():
        yield Finding(
            "overlap",
            f"the regions '{first}' and '{second}' share {events:,} simulated events, which the "
            "likelihood takes for independent ones",
        )
    if collection.unused:
        yield Finding("unused", f"simulation of no process: {', '.join(collection.unused)}")
    names = {
        name for c in collection.channels for of in c.templates.values() for name in of.variations
    }
    patterns = [pattern for rule in fit.variations for pattern in as_names(rule.names)]
    patterns += [pattern for envelope in fit.envelopes for pattern in as_names(envelope.of)]
    for pattern in dict.fromkeys(patterns):
        if not any(matches(name, (pattern,)) for name in names):
            yield Finding("unused", f"no variation matches '{pattern}'")


def _of_channel(
    fit: TemplateFit, channel: TemplateChannel, signal: tuple[str, ...]
) -> Iterator[Finding]:
    backgrounds = [of.nominal for name, of in channel.templates.items() if name not in signal]
    total = np.sum(backgrounds, axis=0) if backgrounds else np.zeros(len(channel.edges) - 1)
    if np.any(total <= 0):
        yield Finding(
            "empty",
            f"no background is expected in bins {_listed(total <= 0)}; merge them",
            channel.name,
        )
    if fit.statistics.include and fit.statistics.signal:
        yield from _signal_statistics(channel, signal)
    for process, template in channel.templates.items():
        where = channel.name, process
        if not np.any(template.nominal):
            yield Finding("empty", "has no events", *where)
            continue
        if np.any(template.nominal == 0):
            yield Finding("empty", f"bins {_listed(template.nominal == 0)} are empty", *where)
        if np.any(template.nominal < 0):
            yield Finding("negative", f"bins {_listed(template.nominal < 0)} are negative", *where)
        for name, sides in template.variations.items():
            for kind, text in _of_variation(template, name, sides):
                yield Finding(kind, text, *where, name)


def _signal_statistics(channel: TemplateChannel, signal: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding if the signal at a strength of 1 dominates a statistical uncertainty."""

    def relative(templates: list[Template]) -> Floats:
        content = np.sum([template.nominal for template in templates], axis=0)
        errors = np.sqrt(np.sum([template.variance for template in templates], axis=0))
        return _relative(errors, content)

    backgrounds = [of for name, of in channel.templates.items() if name not in signal]
    if not backgrounds or len(backgrounds) == len(channel.templates):
        return
    without, together = relative(backgrounds), relative(list(channel.templates.values()))
    changed = (without > 0) & (np.abs(together - without) > LARGE_BY_SIGNAL * without)
    if np.any(changed):
        yield Finding(
            "signal statistics",
            f"at a strength of 1, the signal determines the statistical uncertainty of bins "
            f"{_listed(changed)}; if its cross section is arbitrary, leave it out with "
            "signal = false in [statistics]",
            channel.name,
        )


def _of_variation(template: Template, name: str, sides: Sides) -> Iterator[tuple[Kind, str]]:
    nominal = template.nominal
    differences = {
        side: varied.values - nominal
        for side, varied in (("up", sides.up), ("down", sides.down))
        if varied is not None
    }
    moved = {side: bool(np.any(difference)) for side, difference in differences.items()}
    if not any(moved.values()):
        yield "identical", "is identical to the nominal template"
        return
    for side, differs in moved.items():
        if not differs:
            yield "identical", f"its {side} side is identical to the nominal template"
    if len(differences) == 1:
        yield "one-sided", f"has the side {next(iter(differences))} only"
    elif all(moved.values()):
        yield from _same_direction(differences, sides)
    relative = np.max(
        [np.abs(_relative(difference, nominal)) for difference in differences.values()], axis=0
    )
    if np.any(relative > LARGE):
        yield "large", f"changes bins {_listed(relative > LARGE)} by more than 100%"
    if any(
        np.any((nominal + difference < 0) & (nominal >= 0)) for difference in differences.values()
    ):
        yield "negative", "makes bins negative"
    if name == LUMINOSITY or name.startswith(CROSS_SECTION):
        return
    found = probabilities(nominal, sides)
    if found is None:
        return
    if found.whole > FLUCTUATION:
        yield "not significant", f"fluctuations explain it (p = {found.whole:.2g})"
    elif found.shape > FLUCTUATION and not _is_flat(nominal, differences):
        yield "noisy shape", f"fluctuations explain the change of the shape (p = {found.shape:.2g})"


def _same_direction(differences: Mapping[str, Floats], sides: Sides) -> Iterator[tuple[Kind, str]]:
    """Yield a finding if both sides change bins significantly in one direction."""
    up, down = differences["up"], differences["down"]
    both = (up > 0) == (down > 0)
    both &= (up != 0) & (down != 0)
    for side, difference in ((sides.up, up), (sides.down, down)):
        if side is not None and side.covariance is not None:
            both &= np.abs(difference) > 2 * np.sqrt(np.maximum(np.diag(side.covariance), 0))
    if np.any(both):
        yield "one-sided", f"both sides change bins {_listed(both)} in the same direction"


def _is_flat(nominal: Floats, differences: Mapping[str, Floats]) -> bool:
    return all(
        np.allclose(nominal + d, nominal * (1 + np.sum(d) / np.sum(nominal)), rtol=1e-9)
        for d in differences.values()
    )


def _relative(difference: Floats, nominal: Floats) -> Floats:
    relative: Floats = np.divide(difference, nominal, out=np.zeros_like(nominal), where=nominal > 0)
    return relative


def _missing(collection: Collection) -> Iterator[Finding]:
    """Yield variations that some processes, or some eras of a process, lack."""
    having: dict[str, dict[str, set[str]]] = {}
    eras: dict[str, set[str]] = {}
    for channel in collection.channels:
        for process, template in channel.templates.items():
            eras.setdefault(process, set()).add(channel.era)
            for name in template.variations:
                having.setdefault(name, {}).setdefault(process, set()).add(channel.era)
    for name, by_process in having.items():
        if name.startswith(CROSS_SECTION):
            continue
        if lacking := [process for process in eras if process not in by_process]:
            yield Finding("missing", f"missing for {', '.join(lacking)}", variation=name)
        for process, of in by_process.items():
            if without := sorted(eras[process] - of):
                text = f"missing in the era {', '.join(without)}"
                yield Finding("missing", text, process=process, variation=name)
    seen = set()
    for channel in collection.channels:
        for process, template in channel.templates.items():
            for name, datasets in template.lacking.items():
                finding = Finding(
                    "missing", f"missing for {', '.join(datasets)}", "", process, name
                )
                if finding not in seen:
                    seen.add(finding)
                    yield finding


def _listed(bins: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """Return the numbers of the bins that are true, shortened."""
    numbers = [str(number) for number in np.flatnonzero(bins)]
    return ", ".join(numbers) if len(numbers) <= 8 else f"{', '.join(numbers[:8])}, …"
