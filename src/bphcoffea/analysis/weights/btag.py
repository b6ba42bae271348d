"""Weights for b tagging: fixed working points, and the shape of the score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from bphcoffea.analysis.names import shown
from bphcoffea.analysis.variables import Values, is_number
from bphcoffea.analysis.weights.object_weight import numbers_of_objects
from bphcoffea.analysis.weights.weight import Weight, WeightContext
from bphcoffea.arrays import Floats, Integers, Numbers
from bphcoffea.corrections import BTagFactor, BTagShapeFactor, Factor
from bphcoffea.errors import DeclarationError, alternatives

_SCORE: Final = "score"


class _OfJets(Weight):
    """Base class of weights of jets, from the section ``[btag.<name>]``."""

    over: str
    score: str

    @override
    def needs(self) -> str:
        return f"btag.{self.name}"

    def _numbers(
        self, fields: Mapping[str, str], values: Values
    ) -> tuple[dict[str, Numbers], Floats, Integers]:
        """Return inputs and scores of all jets, shape (jets,) each, and jets per event."""
        fields = {**fields, _SCORE: self.score}
        numbers, counts = numbers_of_objects(self, self.over, fields, values)
        return numbers, numbers.pop(_SCORE), counts

    def _factor(self, context: WeightContext) -> BTagFactor | BTagShapeFactor:
        if context.corrections is None:
            raise ValueError(f"weight '{self.name}' is evaluated without corrections")
        return context.corrections.btag[self.name]


@dataclass(frozen=True)
class BTag(_OfJets):
    """Weight of an event for jets that are tagged, or not, at one or several working points.

    See :class:`~bphcoffea.corrections.btag.working_points.BTagFactor` for the formula. The
    uncertainties of jets with b or c hadrons and of all others are separate, and each may have a
    part that is correlated between eras and one that is not.

    Attributes
    ----------
    name
        Name of the weight, and of its section ``[btag.<name>]`` in the TOML.
    over
        Collection of all jets that could have been tagged.
    score
        Field of the jets with the score of the tagger.
    working_points
        Score above which a jet passes, by the working point's name in the file. Give those at which
        the analysis tags, with the same numbers.
    after
        Name of the cut from which the weight applies; None if it applies before any cut.

    Examples
    --------
    >>> BTag("bjet", over="jet", score="btagDeepFlavB", working_points={"M": 0.2783}).needs()
    'btag.bjet'
    """

    name: str
    over: str
    score: str
    working_points: Mapping[str, float]
    after: str | None = None

    def __post_init__(self) -> None:
        points: object = self.working_points
        if (
            not isinstance(points, Mapping)
            or not points
            or not all(is_number(score) for score in points.values())
            or len(set(points.values())) < len(points)
        ):
            raise DeclarationError(
                f"weight '{self.name}': working_points is {shown(points)}, but must be a mapping "
                'of names to different scores, such as {"M": 0.2783}'
            )

    @override
    def faults(self, context: WeightContext) -> Iterable[str]:
        factor = self._factor(context)
        where = f"weight '{self.name}': [{self.needs()}] of '{_era(context)}'"
        if not isinstance(factor, BTagFactor):
            yield f"{where} is of the shape of the score, for which BTagShape is the weight"
            return
        process = context.metadata.get("process")
        efficiencies = factor.efficiency_of(process)
        if efficiencies is None:
            yield f"{where} {_missing('efficiencies', process, factor.efficiencies)}"
        payloads = [*factor.scale_factors.values(), efficiencies]
        for payload in filter(None, payloads):
            available = payload.all_keys("working_point")
            for name in self.working_points:
                if name not in available:
                    yield (
                        f"{where}: correction '{payload.name}' of {payload.path} has no working "
                        f"point '{name}'{alternatives(name, available)}"
                    )

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        factor = self._factor(context)
        if not isinstance(factor, BTagFactor):
            raise DeclarationError("\n".join(self.faults(context)))
        process = context.metadata.get("process")
        return factor.evaluate_jets(
            *self._numbers(factor.fields, values),
            self.working_points,
            process,
            shifted=context.shifted,
        )


@dataclass(frozen=True)
class BTagShape(_OfJets):
    """Weight of an event that corrects the distribution of the score of its jets.

    The product of the scale factors changes the number of events before any requirement on a score,
    which it should not: the section of the corrections may have a normalisation by the number of
    jets, which ``bphcoffea corrections btag-normalisation`` makes.

    Attributes
    ----------
    name, over, score, after
        See :class:`BTag`.
    """

    name: str
    over: str
    score: str
    after: str | None = None

    @override
    def faults(self, context: WeightContext) -> Iterable[str]:
        factor = self._factor(context)
        where = f"weight '{self.name}': [{self.needs()}] of '{_era(context)}'"
        if not isinstance(factor, BTagShapeFactor):
            yield f"{where} is of working points, for which BTag is the weight"
            return
        process = context.metadata.get("process")
        if factor.normalisations and factor.normalisation_of(process) is None:
            yield f"{where} {_missing('normalisation', process, factor.normalisations)}"

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        factor = self._factor(context)
        if not isinstance(factor, BTagShapeFactor):
            raise DeclarationError("\n".join(self.faults(context)))
        numbers = self._numbers(factor.fields, values)
        process = context.metadata.get("process")
        return factor.evaluate_jets(*numbers, process, shifted=context.shifted)


def _missing(what: str, process: object, available: Iterable[str]) -> str:
    return (
        f"has no {what} of the process '{process}'{alternatives(str(process), available)}; "
        "add it, or 'default' for all others"
    )


def _era(context: WeightContext) -> str:
    return context.corrections.name if context.corrections is not None else ""
