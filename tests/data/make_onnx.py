"""Make the ONNX models of the tests: logistic regressions in two inputs, one for each of two folds.

Needs the package ``onnx``, which the tests don't: ``python tests/data/make_onnx.py``.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Coefficients of vertex_chi2 and phi_mass, and constants, of the folds.
COEFFICIENTS = ((-0.3, 2.0), (-0.2, 5.0))
CONSTANTS = (-1.0, -4.5)


def logistic(coefficients, constant):
    weights = np.array(coefficients, dtype=np.float32)[:, None]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "b"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["score"]),
        ],
        "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array([constant], dtype=np.float32), "b"),
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="bphcoffea"
    )


if __name__ == "__main__":
    for fold, numbers in enumerate(zip(COEFFICIENTS, CONSTANTS, strict=True)):
        onnx.save(logistic(*numbers), Path(__file__).with_name(f"logistic{fold}.onnx"))
