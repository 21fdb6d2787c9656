from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy import devices, readiness
from edgedeploy.errors import UnsupportedError
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import BuildSpec, Precision
from tests.fake_trees import meminfo, plant

if TYPE_CHECKING:
    from pathlib import Path

DLA = TrtOptions(dla_core=0, batch=(1, 1, 1))


def _check(
    device: str,
    jetpack: str | None,
    options: TrtOptions = TrtOptions(),  # noqa: B008 - a NamedTuple, frozen
    precision: Precision = Precision.FP16,
    dla_cores: int | None = None,
) -> None:
    board = devices.find(device)
    release = None if jetpack is None else devices.release(board, jetpack)
    spec = BuildSpec(backend="trt", precision=precision, trt=options)
    readiness.check(board, release, spec, dla_cores=dla_cores)


def test_what_every_board_with_tensorrt_can_do_is_let_through() -> None:
    for board in devices.table():
        for release in board.jetpacks:
            if release.dialect is not None:
                _check(board.name, release.jetpack)


def test_other_backends_and_other_machines_are_not_concerned() -> None:
    nano = devices.find("jetson-nano")
    readiness.check(nano, None, BuildSpec(backend="ort", precision=Precision.INT8))
    options = TrtOptions(hardware_compatible="ampere-plus", optimization_level=5)
    readiness.check(
        devices.find("local"), None, BuildSpec(backend="trt", precision=Precision.INT8, trt=options)
    )


@pytest.mark.parametrize("jetpack", ["4.6.1", None])
def test_int8_on_a_nano_is_refused_before_anything_else(jetpack: str | None) -> None:
    with pytest.raises(UnsupportedError, match="Jetson Nano cannot run int8") as caught:
        _check("jetson-nano", jetpack, precision=Precision.INT8)
    assert caught.value.fix.startswith("use --fp16")


def test_tensorrt_that_is_too_old_is_refused_with_both_versions() -> None:
    with pytest.raises(UnsupportedError, match=r"TensorRT 8\.0\.1 is older than 8\.2") as caught:
        _check("jetson-nano", "4.6")
    assert "update the board's JetPack" in caught.value.fix


def test_board_without_an_accelerator_is_told_so() -> None:
    with pytest.raises(UnsupportedError, match="Jetson Orin Nano has no DLA, core 0 was asked"):
        _check("jetson-orin-nano", "6.2", DLA)


def test_core_that_is_not_there_is_refused_with_those_that_are() -> None:
    second = DLA._replace(dla_core=1)
    _check("jetson-orin-nx", "6.2", second)
    with pytest.raises(UnsupportedError, match="has 1 DLA core, core 0; core 1 was asked for"):
        _check("jetson-orin-nx", "6.2", second, dla_cores=1)
    third = DLA._replace(dla_core=2)
    with pytest.raises(UnsupportedError, match="has 2 DLA cores, 0 to 1; core 2 was asked for"):
        _check("jetson-agx-xavier", None, third)


def test_tensorrt_without_accelerators_names_the_jetpack_that_drives_them() -> None:
    with pytest.raises(UnsupportedError, match=r"TensorRT 10\.16\.2 of JetPack 7\.2 drives no DLA"
                       ) as caught:  # fmt: skip
        _check("jetson-agx-orin", "7.2", DLA)
    assert caught.value.fix.endswith("JetPack 6.2.2 with TensorRT 10.3.0: --jetpack 6.2.2")


def test_accelerator_runs_no_fp32() -> None:
    with pytest.raises(UnsupportedError, match="a DLA runs fp16 and int8, fp32 was asked for"):
        _check("jetson-xavier-nx", "5.1", DLA, Precision.FP32)


def test_accelerator_has_one_size_of_batch() -> None:
    with pytest.raises(UnsupportedError, match="1,4,8 was asked for") as caught:
        _check("jetson-xavier-nx", "5.1", DLA._replace(batch=(1, 4, 8)))
    assert caught.value.fix == "pass --batch 4"
    with pytest.raises(UnsupportedError, match="1,1,8 is the default"):
        _check("jetson-xavier-nx", "5.1", TrtOptions(dla_core=0))


@pytest.mark.parametrize("mode", ["qdq", "typed"])
def test_accelerator_reads_no_qdq_before_tensorrt_11(mode: str) -> None:
    options = DLA._replace(int8_mode=mode)
    _check("jetson-xavier-nx", "5.1", DLA, Precision.INT8)
    with pytest.raises(UnsupportedError, match="on a DLA implicit"):
        _check("jetson-xavier-nx", "5.1", options, Precision.INT8)


@pytest.mark.parametrize("jetpack", ["4.6.6", "5.1"])
def test_int8_mode_that_a_jetpack_does_not_have_is_refused(jetpack: str) -> None:
    typed = TrtOptions(int8_mode="typed")
    _check("jetson-agx-orin", "6.2", typed, Precision.INT8)
    with pytest.raises(UnsupportedError, match="INT8 mode 'typed' was asked for"):
        _check("jetson-agx-xavier", jetpack, typed, Precision.INT8)


@pytest.mark.parametrize("level", ["ampere-plus", "same-compute-capability"])
def test_hardware_compatible_engines_do_not_exist_on_jetpack(level: str) -> None:
    with pytest.raises(UnsupportedError, match=f"hardware compatibility '{level}'"):
        _check("jetson-agx-orin", "6.2", TrtOptions(hardware_compatible=level))


def test_what_came_with_8_6_is_refused_below_it() -> None:
    new = TrtOptions(version_compatible=True, optimization_level=3)
    _check("jetson-agx-orin", "6.0", new)
    with pytest.raises(UnsupportedError, match=r"need TensorRT 8\.6, JetPack 5\.1 .* has 8\.5\.2"
                       ) as caught:  # fmt: skip
        _check("jetson-agx-orin", "5.1", new)
    assert caught.value.fix == "leave --version-compatible and --opt-level out"
    with pytest.raises(UnsupportedError, match=r"^--opt-level needs TensorRT 8\.6"):
        _check("jetson-nano", "4.6.6", TrtOptions(optimization_level=0))


def _memory(
    tmp_path: Path, available_mb: int, total_mb: int = 3956, swaps: str = "", **options: int
) -> str:
    root = plant(tmp_path, meminfo(total_mb, available_mb, swaps))
    rows = readiness.look(devices.find("jetson-nano"), root=root, **options)  # type: ignore[arg-type]
    return "\n".join(f"{row.subject}: {row.problem}: {row.fix}" for row in rows)


def test_nano_short_of_memory_is_told_how_to_get_some(tmp_path: Path) -> None:
    text = _memory(tmp_path, 700)
    assert "700 of 3956 MiB are free, with 0 MiB of swap on a disk" in text
    assert "wants about 1146: 890 for CUDA's libraries and 256 of workspace" in text
    assert "sudo systemctl isolate multi-user.target" in text
    assert "sudo swapon /var/edgedeploy.swap" in text


def test_swap_on_a_disk_counts_and_zram_does_not(tmp_path: Path) -> None:
    disk = "/mnt/4GB.swap file 4194300 1000 -2\n"
    zram = "/dev/zram0 partition 506404 0 5\n/dev/zram1 partition 506404 0 5\n"
    assert _memory(tmp_path, 700, swaps=disk) == ""
    assert "(zram, 988 MiB, lies in the same memory)" in _memory(tmp_path, 700, swaps=zram)


def test_memory_that_suffices_is_not_mentioned(tmp_path: Path) -> None:
    assert _memory(tmp_path, 1146) == ""
    assert _memory(tmp_path, 1145) != ""
    assert _memory(tmp_path, 2000, workspace_mb=1500) != ""


def test_large_board_and_unknown_memory_are_not_judged(tmp_path: Path) -> None:
    assert _memory(tmp_path / "large", 700, total_mb=15523) == ""
    nano = devices.find("jetson-nano")
    assert readiness.look(nano, root=str(tmp_path / "empty")) == ()


def test_pc_with_little_memory_is_not_told_about_boards(tmp_path: Path) -> None:
    root = plant(tmp_path, meminfo(3956, 100))
    assert readiness.look(devices.find("local"), root=root) == ()


def test_full_disk_is_told_with_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nano, out = devices.find("jetson-nano"), tmp_path / "not" / "yet"
    assert readiness.look(nano, root=str(tmp_path), folder=out) == ()
    monkeypatch.setattr(readiness, "DISK_MB", 1 << 40)
    (row,) = readiness.look(nano, root=str(tmp_path), folder=out)
    assert row.subject == "disk"
    assert f"MiB are free where {out} lies" in row.problem
