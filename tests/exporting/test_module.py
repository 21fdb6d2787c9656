from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import onnx
import pytest
import torch

from edgedeploy.errors import BuildError, UsageError
from edgedeploy.exporting.module import export_module
from tests.zoo import peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NETS = """
    import torch
    from torch import nn

    def small():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        )

    ready = small()

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = small()

        def forward(self, x):
            return self.inside(x)

    class Two(nn.Module):
        def forward(self, x, y):
            return x

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Flat(nn.Module):
        def forward(self, x):
            return x.mean()

    class Random(nn.Module):
        def forward(self, x):
            return torch.rand(x.shape[0], 4, device=x.device) + x.mean()

    class Values(nn.Module):  # takes a branch by what is in the image; the export keeps one
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x.mean((2, 3)) * self.calls

    class Batch(nn.Module):  # the export keeps the batch that it was traced with
        def __init__(self):
            super().__init__()
            self.classifier = nn.Linear(3 * 8 * 8, 4)

        def forward(self, x):
            return self.classifier(x.view(int(x.shape[0]), -1))

    class Late(nn.Module):
        def forward(self, x):
            import HELPER
            return HELPER.mean(x)

    class Unknown(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x.mean((1)))

    def number():
        return 3

    def broken():
        raise RuntimeError("no checkpoint here")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module file in the working folder, which is not on ``sys.path``."""
    name = f"nets_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(
        textwrap.dedent(NETS).replace("HELPER", f"helper_{tmp_path.name}")
    )
    (tmp_path / f"helper_{tmp_path.name}.py").write_text("def mean(x):\n    return x.mean((2, 3))")
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)
    sys.modules.pop(f"helper_{tmp_path.name}", None)


@pytest.mark.parametrize("name", ["small", "ready", "Small"])
def test_function_module_and_class_are_all_exported(package: str, name: str) -> None:
    before = list(sys.path)
    model = export_module(f"{package}:{name}", resolution=33)
    assert sys.path == before
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["logits"]
    module = sys.modules[package].small().eval()
    for count in (1, 4):
        batch = peers.images(count, 33)
        with torch.inference_mode():
            wanted = module(torch.from_numpy(batch)).numpy()
        assert peers.relative_error(peers.run_onnx(model, batch), wanted) <= 1e-4


def test_batch_is_free_and_side_is_fixed(package: str) -> None:
    model = export_module(f"{package}:small", resolution=33)
    onnx.checker.check_model(model, full_check=True)
    (image,) = model.graph.input
    first, *others = image.type.tensor_type.shape.dim
    assert first.dim_param == "N"
    assert [dim.dim_value for dim in others] == [3, 33, 33]


def test_exporter_says_nothing_of_its_own(
    package: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    export_module(f"{package}:small", resolution=33)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "has no attribute 'nothing'"),
        ("number", "makes a int, wanted a torch.nn.Module"),
        ("broken", "RuntimeError: no checkpoint here"),
        ("Two", r"does not take a \(3, 3, 33, 33\) float32 tensor"),
        ("Pair", "returns tuple for 3 images, wanted one tensor"),
        ("Flat", r"returns \(\) for 3 images, wanted one tensor"),
    ],
)
def test_module_that_cannot_be_used_is_a_usage_error(package: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export_module(f"{package}:{name}", resolution=33)


def test_missing_package_and_malformed_target_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="No module named 'no_such_nets'"):
        export_module("no_such_nets:make", resolution=33)
    with pytest.raises(UsageError, match=r"it must be package\.module:name"):
        export_module("nets", resolution=33)
    with pytest.raises(UsageError, match="resolution is 0"):
        export_module("nets:make", resolution=0)


@pytest.mark.parametrize("name", ["Random", "Values"])
def test_export_that_differs_from_the_module_is_refused(package: str, name: str) -> None:
    with pytest.raises(BuildError, match=f"the export of {package}:{name} is not the module"):
        export_module(f"{package}:{name}", resolution=33)


def test_operator_that_onnx_lacks_is_a_build_error(package: str) -> None:
    with pytest.raises(BuildError, match=f"torch cannot export {package}:Unknown at opset 13"):
        export_module(f"{package}:Unknown", resolution=8)


def test_export_that_keeps_the_batch_it_was_traced_with_is_refused(package: str) -> None:
    with pytest.raises(BuildError, match=f"{package}:Batch is not the module: ONNX") as said:
        export_module(f"{package}:Batch", resolution=8)
    assert "the batch's size" in said.value.fix


def test_forward_finds_the_users_own_files_too(package: str) -> None:
    before = list(sys.path)
    assert export_module(f"{package}:Late", resolution=8).graph.node
    assert sys.path == before
