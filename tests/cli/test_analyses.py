"""`edgedeploy analyze` as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from edgedeploy.analyzing import kept, peaks, prices
from edgedeploy.cli import app
from tests.analyzing import peaks_examples
from tests.graph.networks import block
from tests.graph.test_operations import model
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dynamic(tmp_path: Path) -> str:
    """A MobileNetV2 of one block that takes images of any size."""
    path = tmp_path / "block.onnx"
    return str(save(ir.serde.serialize_model(block(sides=("h", "w"))), path))


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert app.run(["analyze", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_document_sums_what_its_layers_say(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _json(capsys, dynamic, "--resolution", "16")
    assert found["input_shape"] == [1, 3, 16, 16]
    for name in ("multiply_adds", "parameters", "memory_access_bytes"):
        numbers = [layer[name] for layer in found["layers"]]
        assert found["totals"][name] == sum(numbers) > 0
        assert sum(kind["share"][name] for kind in found["kinds"].values()) == pytest.approx(1)
    assert sum(kind["layers"] for kind in found["kinds"].values()) + 1 == len(found["layers"])
    assert found["free"] == {"Flatten": 1}
    assert found["reasons"] == {}
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["expand/conv"] == {
        "name": "expand/conv",
        "op": "Conv",
        "kind": "pointwise",
        "multiply_adds": 16 * 8 * 64,
        "parameters": 16 * 8 + 16,
        "memory_access_bytes": 4 * (64 * (8 + 16) + 16 * 8 + 16),
        "intensity": pytest.approx(16 * 8 * 64 / (4 * (64 * 24 + 144))),
        "output_shape": [1, 16, 8, 8],
        "gemm": {"m": 16, "n": 64, "k": 8, "groups": 1, "is_gemm": True},
    }
    assert layers["depthwise/conv"]["kind"] == "depthwise"
    assert layers["classifier/conv"]["kind"] == "fully connected"
    assert layers["depthwise/act"]["gemm"] is None


def test_a_batch_that_the_file_fixes_is_counted_whole_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, four = (
        str(save(stem((images, 3, 8, 8)), tmp_path / f"{images}.onnx")) for images in (1, 4)
    )
    single, whole = _json(capsys, one), _json(capsys, four)
    assert whole["input_shape"] == [4, 3, 8, 8]
    assert whole["totals"]["multiply_adds"] == 4 * single["totals"]["multiply_adds"]
    assert whole["totals"]["parameters"] == single["totals"]["parameters"]
    assert app.run(["analyze", four]) == 0
    assert capsys.readouterr().out.startswith("4 @8x8, 4 images a call: ")


def test_half_the_side_has_a_quarter_of_the_multiply_adds(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = _json(capsys, dynamic, "--resolution", "64")["kinds"]["depthwise"]
    two = _json(capsys, dynamic, "--input-shape", "3x64x32")["kinds"]["depthwise"]
    assert one["multiply_adds"] == 2 * two["multiply_adds"]
    assert one["parameters"] == two["parameters"]


def test_tables_fit_eighty_columns_but_for_what_drops_out(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["analyze", dynamic, "--resolution", "16", "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "block @16x16: 45.63 k multiply-adds, 837 parameters, 70.05 kB of memory access"
    )
    kinds = lines[2 : lines.index("", 2)]
    assert max(map(len, kinds)) <= 80
    assert [line.split("  ")[0] for line in kinds] == [
        "kind", "standard", "depthwise", "pointwise", "fully connected", "pooling", "elementwise",
    ]  # fmt: skip
    assert lines[-1] == "cost nothing and have no row: 1 Flatten"
    row = next(line for line in lines if line.startswith("expand/conv"))
    assert row.split()[1:] == [
        "pointwise", "16x8x8", "8.19", "k", "144", "6.72", "kB", "1.22", "16·64·8", "=",
    ]  # fmt: skip


def test_without_layers_there_is_one_table(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["analyze", dynamic, "--resolution", "16"]) == 0
    assert "expand/conv" not in capsys.readouterr().out


def test_energy_is_an_estimate_with_its_source_and_only_where_it_is_asked_for(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "energy_estimate" not in _json(capsys, dynamic, "--resolution", "16")
    found = _json(capsys, dynamic, "--resolution", "16", "--energy")
    totals, estimate = found["totals"], found["energy_estimate"]
    picojoules = 4.6 * totals["multiply_adds"] + 162.5 * totals["memory_access_bytes"]
    assert estimate["total_mj"] == pytest.approx(picojoules * 1e-9)
    assert sum(estimate["kinds_mj"].values()) == pytest.approx(estimate["total_mj"])
    assert "Horowitz, ISSCC 2014" in estimate["source"]
    assert app.run(["analyze", dynamic, "--resolution", "16", "--energy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("mJ, estimate")
    assert max(map(len, lines[2:8])) <= 80
    assert lines[-1].startswith("estimate: 0.0116 mJ, no measurement (Horowitz")


@pytest.fixture
def roofs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks of this device that were measured earlier: 10 GB/s, 40 G multiply-adds/s."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    peaks.of_this_device(threads=1, measuring=lambda host: peaks_examples.peaks(host=host))


@pytest.mark.usefixtures("roofs")
def test_a_roofline_says_what_was_measured_and_what_follows(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [dynamic, "--resolution", "64", "--roofline", "--threads", "1"]
    assert app.run(["analyze", *argv, "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("measured "))
    assert lines[start].startswith("measured 2026-01-02 03:04 UTC on ")
    assert lines[start].endswith(", 1 thread, load 0.25:")
    assert lines[start + 1] == "  memory      10 GB/s  (copy 5, add 10; arrays of 128 MiB)"
    assert lines[start + 2] == "  GEMM, fp32  40 G multiply-adds/s  (openvino 20, ort 40)"
    assert max(map(len, lines[start + 1 :])) <= 80
    row = next(line for line in lines[start:] if line.startswith("expand/conv"))
    # 1.33 multiply-adds per byte, below the ridge of 4: 10 GB/s times that
    assert row.split() == ["expand/conv", "0.00989", "memory", "1.33", "13.3", "G/s"]
    assert "fp32: below 4.00 multiply-adds per byte memory bounds" in lines
    assert any("A bound by the peaks and the counts, no latency" in line for line in lines)

    found = _json(capsys, *argv)
    roofline = found["roofline"]
    assert roofline["bandwidth_bytes_per_s"] == 10e9
    assert roofline["multiply_adds_per_s"] == {"fp32": 40e9, "int8": 80e9}
    assert roofline["least_ms"] == pytest.approx(sum(x["least_ms"] for x in roofline["layers"]))
    assert 0 < roofline["memory_bound_share"] <= 1
    counted = {layer["name"]: layer for layer in found["layers"]}
    for layer in roofline["layers"]:
        same = counted[layer["name"]]
        assert layer["attainable_multiply_adds_per_s"] == pytest.approx(
            min(40e9, 10e9 * same["intensity"])
        )
    assert roofline["measured"]["date"] == "2026-01-02T03:04:05+00:00"


def test_without_asking_nothing_is_measured_and_nothing_is_linted(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not {"roofline", "lints"} & _json(capsys, dynamic, "--resolution", "16").keys()


@pytest.fixture
def grouped(tmp_path: Path) -> str:
    """A grouped convolution behind the stem."""
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["s"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["s", "w"], ["out"], name="grouped", group=4),
    ]
    weights = {"stem": np.ones((64, 3, 1, 1), np.float32), "w": np.ones((64, 16, 1, 1), np.float32)}
    return str(save(model(nodes, **weights), tmp_path / "grouped.onnx"))


def test_lints_say_layer_values_and_what_is_counted(
    grouped: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert app.run(["analyze", grouped, "--resolution", "16", "--lint"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("G2, groups: 1 layer, 65.54 kB of memory access, 32.0% of all")
    assert lines[start + 1 : start + 3] == [
        "  most in grouped, 65.54 kB:",
        "  4 groups of 16 channels; as many multiply-adds without groups at 32",
    ]
    assert lines[start + 3].startswith("Counted, not measured")
    assert max(map(len, lines[start:])) <= 80
    found = _json(capsys, grouped, "--resolution", "16", "--lint")["lints"]
    assert found["measured"] is None
    assert [each["rule"] for each in found["findings"]] == ["G2"]
    assert found["findings"][0]["layers"] == ["grouped"]


def test_lints_show_the_price_that_was_measured_here(
    grouped: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    price = prices.Price(
        rule=prices.GROUPS,
        number=4,
        setting="4 groups",
        baseline="1 group",
        backend="ort",
        precision="fp32",
        relative=0.61,
    )
    made = prices.Prices(date="2026-01-02T03:04:05+00:00", prices=(price,))
    prices.keep(made, kept.this_host(1))
    argv = [grouped, "--resolution", "16", "--lint", "--threads", "1"]
    assert app.run(["analyze", *argv]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "  measured: 4 groups at 61% (ort) of the speed of 1 group"
    assert lines[-1] == "measured 2026-01-02 by benchmarks/guidelines.py on this device"
    found = _json(capsys, *argv)["lints"]
    assert found["measured"] == "2026-01-02T03:04:05+00:00"
    assert found["findings"][0]["prices"][0]["relative"] == 0.61


@pytest.mark.usefixtures("roofs")
def test_a_model_that_breaks_no_guideline_is_told_so_in_one_line(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["analyze", dynamic, "--resolution", "16", "--lint"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "no guideline of ShuffleNet V2 costs 2% of the memory access or more"


def test_a_model_of_any_size_is_refused_with_what_to_pass(
    dynamic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["analyze", dynamic]) == 2
    printed = capsys.readouterr().err
    assert "takes images of any size" in printed
    assert "--resolution R" in printed


def test_what_is_not_known_is_null_with_the_operators_that_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Einsum", ["image"], ["out"], equation="nchw->nhwc")]
    path = str(save(model(nodes), tmp_path / "turned.onnx"))
    found = _json(capsys, path, "--resolution", "8")
    assert found["totals"] == {
        "multiply_adds": None,
        "parameters": 0,
        "memory_access_bytes": 4 * 2 * 3 * 64,
        "intensity": None,
    }
    assert found["reasons"].keys() == {"totals.multiply_adds"}
    assert found["reasons"]["totals.multiply_adds"].startswith("not known of Einsum")
    assert app.run(["analyze", path, "--resolution", "8", "--layers"]) == 0
    assert "– multiply-adds: not known of Einsum" in capsys.readouterr().out
    assert (
        _json(capsys, path, "--resolution", "8", "--energy")["energy_estimate"]["total_mj"] is None
    )


def test_a_name_that_is_no_text_is_refused(
    dynamic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (tmp_path / "block.onnx").read_bytes()
    (tmp_path / "block.onnx").write_bytes(data.replace(b"expand/conv", b"expand/\xff\xffnv"))
    assert app.run(["analyze", dynamic, "--resolution", "16"]) == 6
    assert "has a name that is no text" in capsys.readouterr().err


def test_a_convolution_without_groups_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weight = np.ones((4, 3, 1, 1), np.float32)
    nodes = [helper.make_node("Conv", ["image", "w"], ["out"], group=0)]
    path = str(save(model(nodes, w=weight), tmp_path / "x.onnx"))
    assert app.run(["analyze", path, "--resolution", "8"]) == 6
    assert "cannot be counted: out has 0 groups" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"x")
    assert app.run(["analyze", str(tmp_path / "x.onnx")]) == 6
    assert "is not an ONNX model" in capsys.readouterr().err
