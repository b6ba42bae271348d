"""Preparation of templates: each step is declared, and recorded.

The order is: envelopes, missing sides, smoothing, symmetrising, negative contents, splitting into
a factor of the yield and a change of shape, pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from bphcoffea.analysis import TemplateFit, VariationRule, matches
from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.templates.adjustments import smoothed, symmetrised
from bphcoffea.statistics.templates.collection import Collection
from bphcoffea.statistics.templates.model import (
    Effect,
    ModelChannel,
    Sample,
    TemplateModel,
    parameter_name,
)
from bphcoffea.statistics.templates.significance import probabilities
from bphcoffea.statistics.templates.template import Sides, Template, TemplateChannel, Varied

#: Relative changes that are rounding errors.
ROUNDING: Final = 1e-10
#: Step by which an uncertainty is lost without being asked for.
NO_EVENTS: Final = "has no events on one side, and is left out"
#: What takes the place of a missing side, in words.
MISSING_SIDES: Final = {"mirror": "its mirror image", "nominal": "the nominal template"}


@dataclass(frozen=True)
class Step:
    """A step of the preparation: where, of which variation, and what was done."""

    channel: str
    process: str
    variation: str
    done: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Channel, process and variation."""
        return self.channel, self.process, self.variation


@dataclass(frozen=True)
class Prepared:
    """A prepared model, and the steps that were taken."""

    model: TemplateModel
    steps: tuple[Step, ...]


def prepare(fit: TemplateFit, collection: Collection) -> Prepared:
    """Prepare the templates of a model.

    Parameters
    ----------
    fit
        The declaration.
    collection
        Templates of the runs.

    Raises
    ------
    FitError
        If parameters of different kinds have the same name, or nothing is left of the signal.
    """
    steps: list[Step] = []
    names = {name: parameter_name(name) for name in collection.processes}
    if len(set(names.values())) < len(names):
        raise FitError(f"processes have the same name in a datacard: {', '.join(names)}; rename")
    channels = tuple(
        _Channel(fit, collection.signal, channel, steps).prepared()
        for channel in collection.channels
    )
    bounds = {parameter_name(fit.poi): fit.poi_bounds}
    for free in fit.free:
        for channel in channels:
            bounds[_free_name(free.name, free.correlation, channel.era)] = free.bounds
    used = {name for c in channels for sample in c.samples for name in sample.free}
    poi = parameter_name(fit.poi)
    model = TemplateModel(
        channels,
        poi,
        {name: limits for name, limits in bounds.items() if name in used or name == poi},
        fit.statistics.include,
    )
    if clash := sorted(set(bounds) & set(model.nuisances)):
        raise FitError(f"a free normalisation has the name of a variation, '{clash[0]}'; rename it")
    if not any(sample.signal for channel in channels for sample in channel.samples):
        raise FitError(f"the signal ({', '.join(collection.signal)}) has no events in any region")
    return Prepared(model, tuple(steps))


def _free_name(name: str, correlation: str, era: str) -> str:
    return parameter_name(name, era if correlation == "decorrelated" else "")


@dataclass(frozen=True)
class _Channel:
    """Prepares the templates of a channel."""

    fit: TemplateFit
    signal: tuple[str, ...]
    channel: TemplateChannel
    steps: list[Step] = field(repr=False)

    def prepared(self) -> ModelChannel:
        channel = self.channel
        samples = []
        for process, template in channel.templates.items():
            nominal = self._without_negative(process, "", template.nominal)
            if not np.any(nominal):
                self._note(process, "", "has no events and is left out")
                continue
            samples.append(self._sample(process, template, nominal))
        if not any(not sample.signal for sample in samples):
            raise FitError(f"channel '{channel.name}' has no background with events")
        samples = self._with_errors(samples)
        strengths = {True: self.fit.expected_strength, False: 1.0}
        expected = np.sum([sample.nominal * strengths[sample.signal] for sample in samples], axis=0)
        return ModelChannel(
            *(channel.name, channel.region, channel.era, channel.label, channel.edges),
            tuple(samples),
            np.where(channel.hidden, expected, channel.data),
            channel.hidden,
        )

    def _note(self, process: str, variation: str, done: str) -> None:
        self.steps.append(Step(self.channel.name, process, variation, done))

    def _without_negative(self, process: str, variation: str, values: Floats) -> Floats:
        negative = np.flatnonzero(values < 0)
        if len(negative):
            bins = ", ".join(map(str, negative))
            self._note(process, variation, f"negative contents of bins {bins} are set to 0")
        return np.maximum(values, 0.0)

    def _with_errors(self, samples: list[Sample]) -> list[Sample]:
        """Return the samples with errors in the bins that have a parameter."""
        declared = self.fit.statistics
        counted = [sample for sample in samples if declared.signal or not sample.signal]
        content = np.sum([sample.nominal for sample in counted], axis=0)
        error = np.sqrt(np.sum([sample.errors**2 for sample in counted], axis=0))
        # a bin without content has nothing that a factor could change
        has_parameter = (content > 0) & (error >= declared.threshold * content)
        left_out = np.flatnonzero((error > 0) & ~has_parameter)
        if declared.include and len(left_out):
            bins = ", ".join(map(str, left_out))
            self._note("", "", f"bins {bins} have no parameter for the statistics of simulation")
        without = np.zeros_like(content)
        return [
            replace(
                sample,
                errors=np.where(has_parameter, sample.errors, 0.0)
                if declared.signal or not sample.signal
                else without,
            )
            for sample in samples
        ]

    def _sample(self, process: str, template: Template, nominal: Floats) -> Sample:
        channel = self.channel
        where = process, channel.region, channel.era
        free = tuple(
            _free_name(one.name, one.correlation, channel.era)
            for one in self.fit.free
            if one.applies(*where)
        )
        effects: dict[str, Effect] = {}

        def add(name: str, effect: Effect | None) -> None:
            if effect is None:
                return
            if name in effects:
                raise FitError(
                    f"two uncertainties of '{process}' in channel '{channel.name}' have the "
                    f"parameter '{name}'; rename one of them"
                )
            effects[name] = effect

        for name, sides in self._enveloped(process, template).items():
            rule = self._rule(name, process)
            if rule.exclude:
                self._note(process, name, "is left out, as a rule says")
                continue
            parameter = parameter_name(
                name,
                process if rule.between_processes == "decorrelated" else "",
                channel.era if rule.between_eras == "decorrelated" else "",
            )
            is_rate = bool(free) and name in template.cross_sections
            add(parameter, self._effect(process, name, template.nominal, sides, rule, is_rate))
        for one in self.fit.normalisations:
            if one.applies(*where):
                parameter = _free_name(one.name, one.correlation, channel.era)
                add(parameter, Effect(factors=one.factors))
        return Sample(
            parameter_name(process),
            process in self.signal,
            nominal,
            np.sqrt(np.maximum(template.variance, 0.0)),
            effects,
            free,
        )

    def _rule(self, name: str, process: str) -> VariationRule:
        for rule in self.fit.variations:
            if matches(name, rule.names) and rule.applies(
                process, self.channel.region, self.channel.era
            ):
                return rule
        return VariationRule(names=("*",))

    def _enveloped(self, process: str, template: Template) -> Mapping[str, Sides]:
        """Return the variations, with envelopes in place of their members."""
        left = dict(template.variations)
        for envelope in self.fit.envelopes:
            members = [name for name in left if matches(name, envelope.of)]
            if not members:
                continue
            of_members = [left.pop(name) for name in members]
            contents = [
                template.nominal,
                *(s.values for sides in of_members for s in (sides.up, sides.down) if s),
            ]
            if envelope.name in left:
                raise FitError(
                    f"the envelope '{envelope.name}' has the name of a variation; rename it"
                )
            left[envelope.name] = Sides(
                Varied(np.max(contents, axis=0)), Varied(np.min(contents, axis=0))
            )
            self._note(process, envelope.name, f"is the envelope of {', '.join(members)}")
        return left

    def _effect(
        self,
        process: str,
        name: str,
        nominal: Floats,
        sides: Sides,
        rule: VariationRule,
        is_rate: bool,
    ) -> Effect | None:
        """Return the effect of a variation; None if nothing is left of it."""
        note = self._noting(process, name)
        up, down = self._both(nominal, sides, rule, note)
        if np.array_equal(up, nominal) and np.array_equal(down, nominal):
            note("is identical to the nominal template and left out")
            return None
        if rule.smooth:
            up, down = (smoothed(nominal, side, rule.smooth) for side in (up, down))
            note(f"relative differences are averaged over {2 * rule.smooth + 1} bins")
        if rule.symmetrise != "none":
            down, up = symmetrised(nominal, down, up, rule.symmetrise)
            note(f"both sides are symmetrised ({rule.symmetrise})")
        up, down = (self._without_negative(process, name, side) for side in (up, down))
        positive = np.maximum(nominal, 0.0)
        total = float(np.sum(positive))
        yields = float(np.sum(down)), float(np.sum(up))
        if min(yields) <= 0:
            note(NO_EVENTS)
            return None
        factors = yields[0] / total, yields[1] / total
        shapes = down / factors[0], up / factors[1]
        keeps_factors = rule.keep != "shape" and not is_rate
        if rule.keep != "both":
            note(f"only the {rule.keep} is kept")
        if is_rate:
            note("is replaced by the free normalisation")
        size = max(abs(factor - 1) for factor in factors)
        if size <= self.fit.pruning.normalisation or size <= ROUNDING:
            if keeps_factors and size > ROUNDING:
                note(f"the change of the yield, {size:.3g}, is pruned")
            keeps_factors = False
        keeps_shapes = rule.keep != "normalisation" and self._keeps_shape(
            positive, shapes, sides, note
        )
        if not (keeps_factors or keeps_shapes):
            return None
        return Effect(factors if keeps_factors else None, shapes if keeps_shapes else None)

    def _noting(self, process: str, name: str) -> Callable[[str], None]:
        return lambda done: self._note(process, name, done)

    def _both(
        self, nominal: Floats, sides: Sides, rule: VariationRule, note: Callable[[str], None]
    ) -> tuple[Floats, Floats]:
        """Return the contents up and down, with what takes the place of a missing side."""
        if sides.up and sides.down:
            return sides.up.values, sides.down.values
        given = sides.up or sides.down
        if given is None:
            return nominal, nominal
        note(f"has one side; the other one is {MISSING_SIDES[rule.one_sided]}")
        other = nominal if rule.one_sided == "nominal" else 2 * nominal - given.values
        return (given.values, other) if sides.up else (other, given.values)

    def _keeps_shape(
        self,
        nominal: Floats,
        shapes: tuple[Floats, Floats],
        sides: Sides,
        note: Callable[[str], None],
    ) -> bool:
        moved = np.max([np.abs(shape - nominal) for shape in shapes], axis=0)
        if np.max(moved) <= ROUNDING * np.sum(nominal):
            return False
        # bins without nominal content have no relative change
        relative = np.divide(moved, nominal, out=np.full_like(moved, np.inf), where=nominal > 0)
        largest = float(np.max(relative[moved > 0]))
        if largest <= self.fit.pruning.shape:
            note(f"the change of the shape, at most {largest:.3g}, is pruned")
            return False
        least = self.fit.pruning.p_value
        if least < 1:
            found = probabilities(nominal, sides)
            if found is not None and found.shape > least:
                note(f"the change of the shape is a fluctuation (p = {found.shape:.2g}); pruned")
                return False
        return True
