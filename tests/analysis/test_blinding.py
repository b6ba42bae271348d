"""What is blind is declared: a mistake in that hides nothing, so it is an error."""

import math

import pytest

from bphcoffea.analysis import Analysis, Axis, Blind, Histogram, Variable
from bphcoffea.errors import InputError

mass = Variable("mass", lambda events: events.X.mass)


histograms = (Histogram("m", mass, Axis(10, 0, 2)),)


def declare(blind):
    return type("Search", (Analysis,), {"blind": blind, "histograms": histograms})


def test_a_histogram_that_does_not_exist_is_an_error_of_the_class():
    line = "Search: blind names the histogram 'masss', which is not declared; there are: m"
    with pytest.raises(InputError) as raised:
        declare(Blind("masss"))
    assert str(raised.value) == line
    with pytest.raises(InputError, match="blind is 'm', but must be a Blind"):
        declare("m")


def test_a_class_that_loses_the_histogram_is_an_error():
    search = declare(Blind("m"))
    with pytest.raises(InputError, match="which is not declared; there are: none"):
        type("Other", (search,), {"histograms": ()})
    assert type("Open", (search,), {"histograms": (), "blind": None}).blind is None


@pytest.mark.parametrize("window", [(1.9, 1.7), (1.7, 1.7), (math.nan, 2.0), (1.0, math.inf)])
def test_a_window_is_not_empty(window):
    with pytest.raises(InputError, match=r"Blind\('m'\): the window .* is empty"):
        Blind("m", windows=((0.1, 0.2), window))


def test_it_stands_in_the_description_of_the_analysis():
    from bphcoffea.execution import load_analysis

    assert load_analysis("hnl").describe()["blind"] == {"histogram": "hnl_mass", "windows": ()}
    assert load_analysis("dimuon").describe()["blind"] is None
