from __future__ import annotations

import numpy as np
import pytest

from edgedeploy import miniatures
from edgedeploy.types import Precision


@pytest.mark.parametrize("backend", miniatures.CPU_BACKENDS)
@pytest.mark.parametrize(
    ("precision", "runs"), [(Precision.FP32, "float32"), (Precision.INT8, "int8")]
)
def test_a_matrix_product_runs_in_the_type_asked_for(
    backend: str, precision: Precision, runs: str
) -> None:
    pytest.importorskip({"ort": "onnxruntime"}.get(backend, backend))
    model = miniatures.matrix_product(16)
    with miniatures.opened(model, backend, precision, threads=1) as found:
        assert dict(found.runs) == {runs: 1}
        assert found.library.split()[1][0].isdigit()
        found.call()


def test_a_matrix_product_multiplies_two_square_matrices() -> None:
    model = miniatures.matrix_product(16)
    (weight,) = model.graph.initializer
    assert list(weight.dims) == [16, 16]
    sides = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert np.prod([*sides, 16]) == 16**3
