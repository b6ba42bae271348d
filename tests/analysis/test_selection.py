"""Selections on any kind of candidate, against a loop over candidates."""

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selecting import select

from bphcoffea.analysis import Axis, Condition, Cut, Selection, Variable
from bphcoffea.errors import DeclarationError
from bphcoffea.physics.windows import within
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.selected import Selected

a = Variable("a", lambda events: events.Candidate.a, axis=Axis(3, 0, 3))
b = Variable("b", lambda events: events.Candidate.b, axis=Axis(3, 0, 3))
SELECTION = Selection(
    Cut("trigger", Condition("fired", lambda events: events.fired)),
    Cut("loose", a > 0, b < 3),
    Cut("tight", (a > 1) | (b > 1)),
)
VALUES = st.sampled_from([-99.0, 0.0, 1.0, 2.0, 3.0, math.nan])
EVENTS = st.lists(
    st.tuples(st.booleans(), st.lists(st.tuples(VALUES, VALUES), max_size=4), st.floats(0.1, 2)),
    max_size=8,
)


def make(events):
    counts = np.array([len(c) for _, c, _ in events], int)
    flat = [pair for _, c, _ in events for pair in c]
    columns = {
        name: ak.unflatten(np.array([pair[i] for pair in flat], dtype=float), counts)
        for i, name in enumerate("ab")
    }
    fired = np.array([f for f, _, _ in events], dtype=bool)
    return ak.zip({"Candidate": ak.zip(columns), "fired": fired}, depth_limit=1)


def passes(step, fired, candidate):
    a, b = candidate
    if step == "trigger":
        return fired
    return (a > 0 and b < 3) if step == "loose" else (a > 1 or b > 1)


@given(events=EVENTS)
def test_cutflow_and_best_follow_the_loop(events):
    weights = np.array([w for _, _, w in events])
    selected = select(SELECTION, make(events), weights)
    alive = [(e, i) for e, (_, c, _) in enumerate(events) for i in range(len(c))]
    expected = [(len(events), len(alive), weights.sum())]
    for step in ("trigger", "loose", "tight"):
        alive = [(e, i) for e, i in alive if passes(step, events[e][0], events[e][1][i])]
        passing = sorted({e for e, _ in alive})
        if step == "trigger":  # whether an event has candidates or not
            passing = [e for e, (fired, _, _) in enumerate(events) if fired]
        expected.append((len(passing), len(alive), weights[passing].sum()))
    rows = selected.cutflow.rows()
    assert [row["step"] for row in rows] == ["all", "trigger", "loose", "tight"]
    assert [(row["events"], row["candidates"]) for row in rows] == [e[:2] for e in expected]
    assert [row["sumw"] for row in rows] == pytest.approx([e[2] for e in expected], rel=1e-12)

    best = Selected(SELECTION, selected.candidates, best=a).chosen
    offsets = np.cumsum([0, *(len(c) for _, c, _ in events)])
    by_event = {}
    for e, i in alive:
        by_event.setdefault(e, []).append(i)
    assert best.tolist() == [
        offsets[e] + min(found, key=lambda i: events[e][1][i][0]) for e, found in by_event.items()
    ]


@given(events=EVENTS)
def test_n_minus_1_meets_all_that_does_not_look_at_the_variable(events):
    selected = select(SELECTION, make(events))
    flat = [(fired, pair) for fired, c, _ in events for pair in c]
    # b stands in "b < 3" and in "a > 1 or b > 1": neither is asked
    assert selected.without(b).tolist() == [fired and pair[0] > 0 for fired, pair in flat]
    assert selected.without(a).tolist() == [fired and pair[1] < 3 for fired, pair in flat]


@given(events=EVENTS, ranked=st.booleans())
def test_hidden_events_follow_the_loop(events, ranked):
    """A candidate is hidden if b is 1; of ranked candidates, the best one decides for its event."""
    everyone = [(e, i) for e, (_, c, _) in enumerate(events) for i in range(len(c))]

    def lies(e, i):
        return events[e][1][i][1] == 1

    def best_of(alive):
        by_event = {}
        for e, i in alive:
            by_event.setdefault(e, []).append(i)
        # the first of equals; lexsort has numbers before what is none
        return {
            e: min(own, key=lambda i: (math.isnan(events[e][1][i][0]), events[e][1][i][0]))
            for e, own in by_event.items()
        }

    alive, steps = everyone, []
    for step in ("trigger", "loose", "tight"):
        alive = [(e, i) for e, i in alive if passes(step, events[e][0], events[e][1][i])]
        steps.append(alive)
    hidden = {e for e, i in best_of(alive).items() if lies(e, i)} if ranked else set()
    expected = []
    for step, alive in zip(("trigger", "loose", "tight"), steps, strict=True):
        left_out = hidden | {e for e, i in best_of(alive).items() if lies(e, i)}
        seen = [(e, i) for e, i in alive if not (e in left_out if ranked else lies(e, i))]
        passing = {e for e, _ in seen}
        if step == "trigger":
            passing = {e for e, (fired, _, _) in enumerate(events) if fired}
            passing -= left_out if ranked else set()
        expected.append((len(passing), len(seen)))

    selected = hiding(events, ranked)
    rows = [(row["events"], row["candidates"]) for row in selected.cutflow.rows()]
    assert rows == [(len(events), len(everyone)), *expected]
    chosen = best_of(steps[-1]).items() if ranked else steps[-1]
    position = {pair: number for number, pair in enumerate(everyone)}
    visible = [position[pair] for pair in chosen if not lies(*pair)]
    assert selected.chosen.tolist() == visible
    if ranked:
        assert rows[-1][0] == len(visible) == len(selected.events)
    lost = {e for e, i in chosen if lies(e, i)}
    assert selected.events.tolist() == sorted({e for e, _ in chosen} - lost)
    n_minus_1 = select(SELECTION, make(events)).without(a)
    assert selected.without(a).tolist() == [
        bool(n_minus_1[k]) and not lies(e, i) and e not in hidden
        for k, (e, i) in enumerate(everyone)
    ]

    # nothing but the first row depends on the hidden events
    if ranked:
        others = hiding([event for e, event in enumerate(events) if e not in hidden], ranked)
        assert others.cutflow.rows()[1:] == selected.cutflow.rows()[1:]
        assert np.count_nonzero(others.without(b)) == np.count_nonzero(selected.without(b))


@given(events=EVENTS, seed=st.integers(0, 9))
def test_values_of_some_candidates_are_evaluated_on_their_events(events, seed):
    asked = []
    counted = Variable("counted", lambda e: asked.append(len(e)) or e.Candidate.a)
    fired = Variable("fired", lambda e: e.fired)
    everyone = Candidates(make(events), "Candidate")
    some = Candidates(make(events), "Candidate")
    rng = np.random.default_rng(seed)
    which = rng.permutation(len(everyone))[: rng.integers(0, 3)]
    at = some.at(which)
    np.testing.assert_array_equal(at(fired), everyone.values(fired)[which])
    np.testing.assert_array_equal(at(counted), everyone.values(counted)[which])
    own = len({everyone.event[i] for i in which})
    assert asked[0] == (own if 0 < 2 * own < len(events) else len(events))


def hiding(events, ranked):
    def in_window(values):
        return within(values(b), [(0.5, 1.5)])

    candidates = Candidates(make(events), "Candidate")
    return Selected(SELECTION, candidates, best=a if ranked else None, in_window=in_window)


def test_no_events():
    selected = select(SELECTION, make([]))
    assert [row["events"] for row in selected.cutflow.rows()] == [0, 0, 0, 0]
    assert selected.chosen.tolist() == []


def test_cuts_on_the_event_count_events_without_candidates():
    rows = select(SELECTION, make([(True, [], 1.0), (False, [], 1.0)])).cutflow.rows()
    assert [row["events"] for row in rows] == [2, 1, 0, 0]
    assert [row["sumw"] for row in rows] == [2, 1, 0, 0]


def test_after_a_cut_on_candidates_an_event_needs_one():
    cuts = {cut.name: cut for cut in SELECTION}
    late = Selection(cuts["loose"], cuts["trigger"])
    events = [(True, [(1.0, 1.0)], 1.0), (True, [], 1.0), (False, [(1.0, 1.0)], 1.0)]
    assert [row["events"] for row in select(late, make(events)).cutflow.rows()] == [3, 2, 1]


def test_hidden_events_are_in_no_step_but_the_first():
    number = Variable("number", lambda events: events.number)
    selection = Selection(Cut("some", number >= 1), Cut("more", number >= 2))
    events = Candidates(ak.Array({"number": np.arange(5.0)}), None)
    selected = Selected(selection, events, in_window=lambda values: values(number) == 3)
    rows = [(row["events"], row["candidates"], row["sumw"]) for row in selected.cutflow.rows()]
    assert rows == [(5, 5, 5.0), (3, 3, 3.0), (2, 2, 2.0)]


def test_bounds_and_cut_of_a_variable():
    assert SELECTION.variables() == [a, b]
    assert SELECTION.bounds(b) == (1, 3)
    assert SELECTION.cut_of(b).name == "loose"


def test_a_cut_that_a_dataset_does_not_have_is_absent():
    selection = Selection(Cut("mc_only", a > 0, when=lambda known: known["is_mc"]))
    assert [cut.name for cut in selection.for_dataset({"is_mc": False})] == []
    assert [cut.name for cut in selection.for_dataset({"is_mc": True})] == ["mc_only"]


@pytest.mark.parametrize("names", [("x", "x"), ("all",)])
def test_names_of_cuts_differ(names):
    with pytest.raises(ValueError, match="must differ"):
        Selection(*(Cut(name, a > 0) for name in names))


def test_a_cut_requires_something():
    with pytest.raises(ValueError, match="requires nothing"):
        Cut("empty")


def test_two_variables_of_one_name_are_refused():
    # their N-1 histograms would be one
    with pytest.raises(ValueError, match="share the name a"):
        Selection(Cut("x", a > 0), Cut("y", Variable("a", a.function) > 1))


LEVELS = st.lists(st.lists(st.sampled_from([1.0, 2.0]), max_size=3), min_size=1, max_size=6)


def select_by(function, lists):
    events = make([(True, [(value, 0.0) for value in values], 1.0) for values in lists])
    return select(Selection(Cut("c", Variable("x", function) > 1)), events)


@given(lists=LEVELS)
def test_a_number_of_each_event_or_candidate_is_taken_for_what_it_is(lists):
    expected = [value > 1 for values in lists for value in values]
    assert select_by(lambda e: e.Candidate.a, lists).passed.tolist() == expected
    of_event = [max(values, default=0) > 1 for values in lists]
    each = [fired for fired, values in zip(of_event, lists, strict=True) for _ in values]
    got = select_by(lambda e: ak.fill_none(ak.max(e.Candidate.a, axis=1), 0), lists)
    assert got.passed.tolist() == each


@given(lists=LEVELS)
def test_a_flat_array_of_candidates_is_never_taken_for_one_of_events(lists):
    """Not even where there are as many candidates as events, by chance."""
    if all(len(values) == 1 for values in lists):
        assert select_by(lambda e: ak.flatten(e.Candidate.a), lists).passed.tolist() == [
            values[0] > 1 for values in lists
        ]
        return
    for flat in (ak.flatten, lambda lists: ak.to_numpy(ak.flatten(lists))):
        with pytest.raises(ValueError, match="'x' gives a flat array of"):
            select_by(lambda e, flat=flat: flat(e.Candidate.a), lists)


@given(lists=LEVELS, data=st.data())
def test_lists_of_other_lengths_are_refused_even_if_their_sum_is_the_same(lists, data):
    other = data.draw(st.permutations([len(values) for values in lists]))
    if other == [len(values) for values in lists]:
        return
    with pytest.raises(ValueError, match="'x' has other numbers of values than there are"):
        select_by(lambda e: ak.unflatten(ak.flatten(e.Candidate.a), other), lists)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda e: e.Candidate.a[:, :1], "other numbers of values"),
        (lambda e: e.Candidate.a[:1], "gives 1 lists for 2 events"),
        (lambda e: ak.singletons(e.Candidate.a, axis=1), "2 levels of lists"),
        (lambda e: 3.0, "gives a float; it must give an array"),
        (lambda e: [[1.0, 2.0], [3.0]], "gives a list; it must give an array"),
        (lambda e: ak.max(e.Candidate.a[e.Candidate.a > 5], axis=1), r"no value \(None\) 2 times"),
    ],
)
def test_what_is_no_number_of_each_candidate_is_refused(function, problem):
    with pytest.raises(ValueError, match=f"variable 'x' {problem}|variable 'x' has {problem}"):
        select_by(function, [[1.0, 2.0], [2.0]])


def test_a_notebook_shows_the_cuts_of_a_selection():
    selection = Selection(Cut("a & <b>", a > 0, b.between(1, 3)), Cut("late", b < 2))
    assert repr(selection).splitlines() == [
        "Selection:",
        "  a & <b>: a > 0, 1 < b < 3",
        "  late: b < 2",
    ]
    shown = selection._repr_html_()
    assert "<caption>Selection</caption>" in shown
    assert "<td>a &amp; &lt;b&gt;</td><td>a &gt; 0, 1 &lt; b &lt; 3</td>" in shown


def test_cuts_are_replaced_by_name():
    replaced = SELECTION.replacing(Cut("loose", SELECTION.variable("b") > 7))
    assert [cut.name for cut in replaced] == [cut.name for cut in SELECTION]
    assert "loose: b > 7" in str(replaced)
    assert "loose: b > 7" not in str(SELECTION)
    with pytest.raises(DeclarationError, match="no cut 'lose' to replace; did you mean 'loose'"):
        SELECTION.replacing(Cut("lose", b > 7))
    with pytest.raises(DeclarationError, match="no cut looks at 'B'; did you mean 'b'"):
        SELECTION.variable("B")
