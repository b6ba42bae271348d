"""Mass models that cannot be."""

import numpy as np
import pytest
from mass_toys import DPLUS, DS

from bphcoffea.analysis.mass_model import MassModel, Peak


def test_a_model_needs_different_names():
    with pytest.raises(ValueError, match="different names"):
        MassModel(histogram="mass", peaks=(DS, DS))
    with pytest.raises(ValueError, match="'background'"):
        MassModel(histogram="mass", peaks=(DS.model_copy(update={"name": "background"}),))


@pytest.mark.parametrize("range_", [(2.01, 1.65), (1.9, 1.9), (1.65, np.inf), (np.nan, 2.01)])
def test_a_range_has_a_lower_and_a_higher_end(range_):
    with pytest.raises(ValueError, match=r"the range .* GeV is empty"):
        MassModel(histogram="mass", peaks=(DS,), range=range_)


def test_a_peak_lies_in_the_range():
    with pytest.raises(ValueError, match=r"the mass of 'dplus' lies outside the range 1.9 to 2"):
        MassModel(histogram="mass", peaks=(DS, DPLUS), range=(1.9, 2.01))


@pytest.mark.parametrize("field", ["mass", "width", "mass_window"])
@pytest.mark.parametrize("value", [0.0, -0.01, np.nan, np.inf])
def test_the_numbers_of_a_peak_are_positive(field, value):
    with pytest.raises(ValueError, match=field):
        Peak(**{**DS.model_dump(), field: value})
