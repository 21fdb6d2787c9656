from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgedeploy.errors import BuildError
from tests.runtime import fake_trt
from tests.runtime.build_with import build


def test_unknown_height_and_width_are_refused_with_the_flag_that_gives_them(source: str) -> None:
    with pytest.raises(BuildError, match=r"shape \(any, 3, any, any\)") as caught:
        build(source, fake_trt.Library("10.3.0", input_shape=(-1, 3, -1, -1)))
    assert "--resolution 224" in caught.value.fix


def test_parser_errors_name_the_nodes_in_new_versions(source: str) -> None:
    errors = tuple(
        SimpleNamespace(
            node_name=lambda name=name: name,
            node_operator=lambda: "Bernoulli",
            node=lambda: 3,
            code=lambda: SimpleNamespace(name="UNSUPPORTED_NODE"),
            desc=lambda: "no importer",
        )
        for name in ("dice", "coin")
    )
    with pytest.raises(BuildError, match=r"'dice' \(Bernoulli\): UNSUPPORTED_NODE: no importer"):
        build(source, fake_trt.Library("10.3.0", parse_errors=errors))
    with pytest.raises(BuildError, match="; node 'coin'"):
        build(source, fake_trt.Library("10.3.0", parse_errors=errors))


def numbered(number: int, code: str = "UNSUPPORTED_NODE") -> Any:
    return SimpleNamespace(
        node=lambda: number, code=lambda: SimpleNamespace(name=code), desc=lambda: "no importer"
    )


def test_parser_errors_give_the_number_of_the_node_in_old_versions(source: str) -> None:
    trt = fake_trt.Library("8.2.1", parse_errors=(numbered(3),))
    with pytest.raises(BuildError, match=r"node number 3: UNSUPPORTED_NODE: no importer\n"):
        build(source, trt)


def test_old_parsers_stop_at_the_first_node_and_the_others_are_found_between_their_groups(
    source: str,
) -> None:
    groups = (([0, 1, 2], True), ([4, 5], True), ([7], False), ([9], True))
    trt = fake_trt.Library("8.6.1", parse_errors=(numbered(3),), subgraphs=groups)
    with pytest.raises(BuildError) as caught:
        build(source, trt)
    assert caught.value.problem.endswith(
        "node number 3: UNSUPPORTED_NODE: no importer; node number 6: not supported either; "
        "node number 8: not supported either"
    )


def test_a_file_that_is_no_onnx_is_said_to_be_the_matter(source: str) -> None:
    trt = fake_trt.Library("8.6.1", parse_errors=(numbered(-1, "MODEL_DESERIALIZE_FAILED"),))
    with pytest.raises(BuildError, match=r"source.onnx: the file: MODEL_DESERIALIZE_FAILED"):
        build(source, trt)
