"""Columns of Arrow are those that pyarrow makes itself, and pandas is not imported for them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea import arrow_columns
from bphcoffea.arrow_columns import of_numbers, of_texts


@given(st.lists(st.text()))
def test_texts_are_strings(texts):
    column = of_texts(texts)
    column.validate(full=True)
    assert column.type == pa.string()
    assert column.to_pylist() == texts


def test_texts_that_do_not_fit_into_one_array(monkeypatch):
    monkeypatch.setattr(arrow_columns, "_CAPACITY", 10)
    column = of_texts(["four", "", "of", "five", "é"])
    assert [len(part) for part in column.chunks] == [2, 2, 1]
    assert column.to_pylist() == ["four", "", "of", "five", "é"]


@pytest.mark.parametrize("dtype", ["?", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("step", [1, -2])
def test_numbers_keep_type_and_value(dtype, step):
    values = np.array([0, 1, 7, 0, 250, 1, 0, 0, 3, 9, 1], dtype)[::step]
    column = of_numbers(values)
    column.validate(full=True)
    assert column.equals(pa.array(values))


def test_not_a_number_is_a_value():
    assert of_numbers(np.array([np.nan])).null_count == 0


def test_no_numbers_have_a_type():
    assert of_numbers(np.array([], np.float32)).type == pa.float32()


def test_pandas_is_not_imported():
    code = """
import io, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from bphcoffea.arrow_columns import of_numbers, of_texts
columns = {"a": of_numbers(np.zeros(2)), "b": of_texts(["c", "d"])}
pq.write_table(pa.table(columns), io.BytesIO())
sys.exit("pandas" in sys.modules or "pyarrow.compute" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
