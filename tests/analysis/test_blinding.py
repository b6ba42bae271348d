"""What is blind is declared: a mistake in that hides nothing, so it is an error."""

import math

import pytest

from bphcoffea.analysis import Analysis, Axis, Blind, Hidden, Histogram, Variable
from bphcoffea.errors import InputError

mass = Variable("mass", lambda events: events.X.mass)


histograms = (Histogram("m", mass, Axis(10, 0, 2)),)


def declare(blind):
    return type("Search", (Analysis,), {"blind": blind, "histograms": histograms})


def test_a_histogram_that_does_not_exist_is_an_error_of_the_class():
    line = "Search: blind names the histogram 'masss', which is not declared; there are: m"
    with pytest.raises(InputError) as raised:
        declare(Blind("masss", resolution=0.01))
    assert str(raised.value) == line
    with pytest.raises(InputError, match="blind is 'm', but must be a Blind"):
        declare("m")


def test_a_class_that_loses_the_histogram_is_an_error():
    search = declare(Blind("m", resolution=0.01))
    with pytest.raises(InputError, match="which is not declared; there are: none"):
        type("Other", (search,), {"histograms": ()})
    assert type("Open", (search,), {"histograms": (), "blind": None}).blind is None


@pytest.mark.parametrize("window", [(1.9, 1.7), (1.7, 1.7), (math.nan, 2.0), (1.0, math.inf)])
def test_a_window_is_not_empty(window):
    with pytest.raises(InputError, match=r"Blind\('m'\): the window .* is empty"):
        Blind("m", windows=((0.1, 0.2), window))


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, "give either windows, or the resolution"),
        ({"windows": ((0.1, 0.2),), "resolution": 0.01}, "give either windows, or the resolution"),
        ({"resolution": 0.0}, "the resolution must be positive, not 0"),
        ({"resolution": math.nan}, "the resolution must be positive"),
    ],
)
def test_windows_are_fixed_or_follow_from_a_resolution(declared, said):
    with pytest.raises(InputError, match=said):
        Blind("m", **declared)


def test_a_window_is_three_resolutions_around_each_mass():
    assert Blind("m", resolution=0.01).around([1.5, 1.0]) == ((0.97, 1.03), (1.455, 1.545))
    of_mass = Blind("m", resolution=lambda mass: 0.005 + 0.005 * mass)
    assert of_mass.around([1.0, 1.05]) == (pytest.approx((0.97, 1.05 + 3 * 0.01025)),)
    with pytest.raises(InputError, match="must be positive, not -1"):
        Blind("m", resolution=lambda mass: -mass).around([1.0])
    assert Blind("m", windows=((0.2, 0.3),)).around([1.0]) == ((0.2, 0.3),)


def test_it_stands_in_the_description_of_the_analysis():
    from bphcoffea.execution import load_analysis

    analysis = load_analysis("hnl")
    record = analysis.describe().blind
    assert (record.variable, record.blinded) == ("hnl_mass", False)
    record = analysis.hiding(Hidden(((0.9, 1.1),), (1.0,))).describe().blind
    assert (record.blinded, record.hidden, record.masses) == (True, ((0.9, 1.1),), (1.0,))
    assert load_analysis("dimuon").describe().blind is None
