"""What every backend keeps, built and run through the public functions; ONNX's reference judges."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from edgedeploy import Runtime, backends, building, model_file
from edgedeploy.calibration.observing import observe_extremes
from edgedeploy.calibration.ranges import whole_range
from edgedeploy.calibration_values import Calibration
from edgedeploy.errors import (
    ArtifactError,
    BuildError,
    MissingDependencyError,
    TensorMismatchError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.graph.tensors import activations
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import BuildSpec, Precision
from tests.models import save, stem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.types import Array, OnnxModel

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
# Largest difference from the reference, whose outputs lie between 0 and 3.
TOLERANCE = {
    Precision.FP32: 1e-5,
    Precision.FP16: 1e-2,
    Precision.BF16: 5e-2,
    Precision.INT8: 5e-2,
}
# bf16 is OpenVINO's alone; a test below says so of the others.
EVERY = [
    (name, precision)
    for name in backends.names()
    for precision in Precision
    if precision is not Precision.BF16 or name == "openvino"
]


def images(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, 8, 8)).astype(np.float32)


@dataclass(frozen=True)
class Workshop:
    """A small model, its calibration, and a folder for what is built from them."""

    model: OnnxModel
    calibration: Calibration
    out: Path
    reference: ReferenceEvaluator

    def expected(self, batch: Array) -> Array:
        (output,) = self.reference.run(None, {"image": batch})
        return np.asarray(output)

    def build(self, backend: str, precision: Precision) -> building.BuildResult:
        """Build; skip where this machine cannot."""
        if backends.package(backend) is None:
            pytest.skip(f"no package for backend {backend!r} is installed")
        spec = BuildSpec(backend=backend, precision=precision)
        try:
            return building.build(self.model, spec, out=self.out, calibration=self.calibration)
        except UnsupportedError as error:
            pytest.skip(error.problem)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("contract")
    proto = stem()
    model = model_file.read(save(proto, folder / "stem.onnx"))
    graph = ir.serde.deserialize_model(proto)
    seen = observe_extremes(graph, activations(graph), [images(400)], threads=1)
    calibration = Calibration(
        model_sha256=model.sha256,
        data_digest="00",
        data_count=400,
        method="minmax",
        side=(8, 8),
        preprocessing=RULE,
        ranges={name: whole_range(low, high) for name, (low, high) in seen.items()},
        versions={},
    )
    return Workshop(model, calibration, folder / "build", ReferenceEvaluator(proto))


def load(folder: Path) -> Runtime:
    """Load; skip where the artifact can be built but not run, e.g. TensorRT without a GPU."""
    try:
        return Runtime.load(folder, threads=1)
    except (UnsupportedError, MissingDependencyError) as error:
        pytest.skip(error.problem)


@pytest.fixture(scope="module", params=EVERY, ids=lambda pair: f"{pair[0]}-{pair[1].value}")
def built(
    request: pytest.FixtureRequest, workshop: Workshop
) -> tuple[building.BuildResult, Precision]:
    backend, precision = request.param
    return workshop.build(backend, precision), precision


@pytest.fixture
def runtime(built: tuple[building.BuildResult, Precision]) -> Iterator[Runtime]:
    with load(built[0].folder) as loaded:
        yield loaded


def test_artifact_is_whole_and_says_what_was_asked(
    built: tuple[building.BuildResult, Precision],
) -> None:
    result, precision = built
    known = manifests.read(str(result.folder))
    manifests.verify(str(result.folder), known)
    assert known.precision == precision.value
    assert known.files[0].name == known.engine
    assert known.input.shape == (None, 3, 8, 8)
    on_disk = {path.name for path in result.folder.iterdir()} - {manifests.MANIFEST}
    assert on_disk == {file.name for file in known.files}


def test_a_second_build_is_up_to_date(
    workshop: Workshop, built: tuple[building.BuildResult, Precision]
) -> None:
    result, precision = built
    assert workshop.build(result.manifest.backend, precision).up_to_date


@pytest.mark.parametrize("count", [1, 3, 8, 9])
def test_answers_are_those_of_the_reference_for_any_batch(
    workshop: Workshop, runtime: Runtime, count: int
) -> None:
    batch = images(count, seed=count)
    output = runtime.infer(batch)
    assert output.dtype == np.float32
    tolerance = TOLERANCE[Precision(runtime.info["precision"])]
    np.testing.assert_allclose(output, workshop.expected(batch), atol=tolerance, rtol=0)


def test_answers_to_one_image_do_not_depend_on_its_batch(runtime: Runtime) -> None:
    batch = images(4)
    alone = np.concatenate([runtime.infer(batch[i : i + 1]) for i in range(4)])
    tolerance = TOLERANCE[Precision(runtime.info["precision"])]
    np.testing.assert_allclose(runtime.infer(batch), alone, atol=tolerance, rtol=0)


def test_outputs_survive_the_next_call(runtime: Runtime) -> None:
    first = runtime.infer(images(1, seed=1))
    copy = first.copy()
    second = runtime.infer(images(1, seed=2))
    np.testing.assert_array_equal(first, copy)
    assert not np.array_equal(first, second)
    first[:] = 0  # the caller owns it
    np.testing.assert_array_equal(runtime.infer(images(1, seed=1)), copy)


def test_inputs_may_be_read_only_or_strided_and_are_not_changed(runtime: Runtime) -> None:
    batch = images(2)
    wanted = runtime.infer(batch)
    np.testing.assert_array_equal(batch, images(2))
    strided = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(runtime.infer(strided), wanted)
    batch.flags.writeable = False
    np.testing.assert_array_equal(runtime.infer(batch), wanted)


def test_an_input_may_be_reused_and_freed_after_a_call(runtime: Runtime) -> None:
    batch = images(1, seed=1)
    wanted = runtime.infer(batch)
    batch[:] = 0
    runtime.infer(batch)
    del batch
    np.testing.assert_array_equal(runtime.infer(images(1, seed=1)), wanted)


def test_a_bound_call_repeats_beside_other_calls(runtime: Runtime) -> None:
    batch = images(1, seed=1)
    wanted = runtime.infer(batch)
    call = runtime.bind(batch)
    call()
    call()
    runtime.infer(images(2, seed=2))
    np.testing.assert_array_equal(runtime.infer(batch), wanted)


def test_bad_batches_never_reach_the_vendor(runtime: Runtime) -> None:
    good = images(1)
    for bad in (good[:0], good.astype(np.float64), good[0], good[..., :4], good * np.nan):
        with pytest.raises(TensorMismatchError, match="input '"):
            runtime.infer(bad)
    assert np.isfinite(runtime.infer(good)).all()


def test_several_threads_get_their_own_answers(runtime: Runtime) -> None:
    batches = [images(1 + seed % 2, seed) for seed in range(6)]
    wanted = [runtime.infer(batch) for batch in batches]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(runtime.infer, batches * 3))
    for position, output in enumerate(found):
        np.testing.assert_array_equal(output, wanted[position % len(batches)])


def test_info_names_the_library_and_the_device(runtime: Runtime) -> None:
    info = json.loads(json.dumps(runtime.info))
    library = info["library"].split()[0]
    assert library in {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"}
    assert info["device"]
    assert info["threads"] in (1, None)
    assert info["artifact"].endswith(f"{info['backend']}-{info['precision']}")


def test_a_closed_runtime_says_so(built: tuple[building.BuildResult, Precision]) -> None:
    runtime = load(built[0].folder)
    runtime.close()
    with pytest.raises(UsageError, match="is closed"):
        runtime.infer(images(1))


@pytest.mark.parametrize("backend", backends.names())
def test_an_engine_that_is_none_is_refused_in_our_words(
    workshop: Workshop, tmp_path: Path, backend: str
) -> None:
    """The checksums fit: a vendor that is handed nonsense must not crash, nor raise its own."""
    source = workshop.build(backend, Precision.FP32).folder
    document = json.loads((source / manifests.MANIFEST).read_text())
    for entry in document["files"]:
        data = b"no engine at all, only bytes\n" * 40
        (tmp_path / entry["name"]).write_bytes(data)
        entry["sha256"] = hashlib.sha256(data).hexdigest()
        entry["size_bytes"] = len(data)
    (tmp_path / manifests.MANIFEST).write_text(json.dumps(document))
    with pytest.raises((ArtifactError, UnsupportedError), match="fix: "):
        Runtime.load(tmp_path)


@pytest.mark.parametrize("backend", backends.names())
def test_an_operator_that_nobody_knows_is_refused_and_leaves_nothing(
    workshop: Workshop, tmp_path: Path, backend: str
) -> None:
    workshop.build(backend, Precision.FP32)  # skips where the backend cannot build at all
    proto = stem()
    proto.graph.node[1].CopyFrom(
        onnx.helper.make_node("FromNowhere", ["c"], ["r"], domain="com.example")
    )
    proto.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    model = model_file.read(save(proto, tmp_path / "m.onnx"))
    with pytest.raises(BuildError, match="fix: "):
        building.build(model, BuildSpec(backend=backend), out=tmp_path / "build")
    assert not list((tmp_path / "build").glob("m/*"))


@pytest.mark.parametrize("backend", backends.names())
def test_a_precision_that_a_backend_lacks_is_refused_with_those_it_has(
    workshop: Workshop, tmp_path: Path, backend: str
) -> None:
    workshop.build(backend, Precision.FP32)
    lacking = set(Precision) - backends.get(backend).precisions()
    for precision in lacking:
        with pytest.raises(UnsupportedError, match=f"'{backend}' cannot build {precision.value}"):
            building.build(
                workshop.model,
                BuildSpec(backend=backend, precision=precision),
                out=tmp_path,
                calibration=workshop.calibration,
            )
    assert not list(tmp_path.iterdir())
