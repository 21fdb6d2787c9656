from __future__ import annotations

import itertools
import random
import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FileError, UnknownNameError
from edgedeploy.meters import rails, tegrastats
from edgedeploy.meters.tegrastats import TegraSample, module_power_mw, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# One line per generation, invented, in the grammar of the real ones.
TK1 = "RAM 700/1892MB (lfb 100x4MB) cpu [11%,off,off,off]@-1 VDE 0 EDP limit 0"
TX1 = (
    "RAM 1500/3995MB (lfb 9x4MB) cpu [10%,20%,30%,40%]@1734 EMC 5%@1600 AVP 1%@115 "
    "NVDEC 192 MSENC 192 GR3D 44%@614 EDP limit 1734"
)
NANO = (
    "RAM 1200/3964MB (lfb 70x4MB) SWAP 12/1982MB (cached 1MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [12%@921,34%@921,off,off] EMC_FREQ 4%@1600 GR3D_FREQ 62%@460 APE 25 PLL@30C CPU@33.5C "
    "PMIC@100C GPU@31C AO@40.5C thermal@32.25C POM_5V_IN 3100/2900 POM_5V_GPU 700/600 "
    "POM_5V_CPU 800/700"
)
XAVIER = (
    "RAM 1308/15692MB (lfb 3000x4MB) CPU [1%@1190,off] EMC_FREQ 0% GR3D_FREQ 5% APE 150 "
    "MTS fg 3% bg 4% AO@32.5C GPU@32C PMIC@50C AUX@31.5C CPU@33.5C GPU 100/90 CPU 200/190 "
    "SOC 800/790 CV 0/0 VDDRQ 140/150 SYS5V 1900/1800"
)
ORIN = (
    "10-16-2023 10:59:22 RAM 1205/30623MB (lfb 6429x4MB) SWAP 0/15311MB (cached 0MB) "
    "CPU [7%@729,100%@2201] EMC_FREQ 0%@204 GR3D_FREQ 31%@[305,0] NVENC off NVDEC    off "
    "NVJPG1 729 PVA0_FREQ off APE 174 CV0@-256C CPU@43.5C tj@44.062C GPU@-256C "
    "VDD_GPU_SOC 4700mW/4788mW VDD_CPU_CV 800mW/798mW VIN_SYS_5V0 3900mW/3842mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 700mW/707mW NC 0mW/0mW"
)
THOR = (
    "07-23-2026 15:29:26 RAM 9101/125811MB (lfb 6x512kB) CPU [39%@2160,20%@2160] "
    "EMC_FREQ 7%@3200 GR3D_FREQ @[314,315,316] NVENC0_FREQ @1556 OFA_FREQ @1556 "
    "cpu@34.312C/34.843C tj@35.906C/36C VDD_GPU -392mW/-100mW/40mW "
    "VDD_CPU_SOC_MSS 8710mW/8000mW/9000mW VIN_SYS_5V0 6767mW/6700mW/6800mW "
    "VIN 20000mW/10000mW/20000mW"
)


def test_nano_line_gives_every_field() -> None:
    assert parse_line(NANO) == TegraSample(
        ram_used_mb=1200,
        ram_total_mb=3964,
        rails_mw={"POM_5V_IN": 3100, "POM_5V_GPU": 700, "POM_5V_CPU": 800},
        temperatures_c={"PLL": 30, "CPU": 33.5, "GPU": 31, "AO": 40.5, "thermal": 32.25},
        gpu_load_pct=62.0,
        cpu_load_pct=(12.0, 34.0, None, None),
        swap_used_mb=12,
        swap_total_mb=1982,
        cpu_clocks_mhz=(921, 921, None, None),
        gpu_clocks_mhz=(460,),
    )


def test_old_line_has_one_clock_for_all_cores() -> None:
    sample = parse_line(TX1)
    assert sample.cpu_load_pct == (10.0, 20.0, 30.0, 40.0)
    assert sample.cpu_clocks_mhz == (1734,) * 4
    assert (sample.gpu_load_pct, sample.gpu_clocks_mhz) == (44.0, (614,))
    assert sample.rails_mw == {}


def test_clock_of_minus_one_is_unknown() -> None:
    sample = parse_line(TK1)
    assert sample.cpu_load_pct == (11.0, None, None, None)
    assert sample.cpu_clocks_mhz == (None,) * 4


def test_rails_and_zones_of_the_same_name_are_told_apart() -> None:
    sample = parse_line(XAVIER)
    assert sample.temperatures_c == {"AO": 32.5, "GPU": 32.0, "AUX": 31.5, "CPU": 33.5}
    assert sample.rails_mw == {
        "GPU": 100, "CPU": 200, "SOC": 800, "CV": 0, "VDDRQ": 140, "SYS5V": 1900,
    }  # fmt: skip


def test_zones_that_measure_nothing_are_left_out() -> None:
    assert parse_line(ORIN).temperatures_c == {"CPU": 43.5, "tj": 44.062}
    assert "PMIC" not in parse_line(NANO).temperatures_c
    assert "PMIC" not in parse_line(XAVIER).temperatures_c
    assert parse_line(NANO.replace("PMIC@100C", "PMIC@47C")).temperatures_c["PMIC"] == 47.0


def test_current_column_is_read_out_of_three_and_may_be_negative() -> None:
    sample = parse_line(THOR)
    assert sample.rails_mw["VDD_GPU"] == -392
    assert sample.rails_mw["VIN"] == 20000
    assert sample.temperatures_c == {"cpu": 34.312, "tj": 35.906}


@pytest.mark.parametrize(
    ("field", "load", "clocks"),
    [
        ("GR3D_FREQ 0%", 0.0, ()),
        ("GR3D_FREQ 0%@[114]", 0.0, (114,)),
        ("GR3D_FREQ @0", None, (0,)),
        ("GR3D_FREQ @[314,314,314]", None, (314, 314, 314)),
        ("GR3D_FREQ 87%@[1574,1574,1574]", 87.0, (1574, 1574, 1574)),
        ("GR3D_FREQ 0%@114 GR3D2_FREQ 9%@115", 0.0, (114,)),
        ("GR3D2_FREQ 9%@115", None, ()),
        ("NVENC off", None, ()),
    ],
)
def test_gpu_load_is_none_when_it_is_not_printed(
    field: str, load: float | None, clocks: tuple[int, ...]
) -> None:
    sample = parse_line(f"RAM 1/2MB (lfb 1x4MB) CPU [3%@729] {field} cpu@40C VDD_IN 5mW/5mW")
    assert (sample.gpu_load_pct, sample.gpu_clocks_mhz) == (load, clocks)


def test_last_of_several_records_counts() -> None:
    assert parse_line(f"{NANO}\n{XAVIER}\n") == parse_line(XAVIER)
    assert parse_line(f"1900/1800 {ORIN} {THOR}") == parse_line(THOR)


def test_records_glued_without_a_space_are_taken_apart() -> None:
    assert parse_line(NANO + NANO.replace("1200/", "1201/")).ram_used_mb == 1201
    assert parse_line(ORIN + ORIN.replace("4700mW", "4701mW")).rails_mw["VDD_GPU_SOC"] == 4701


def test_next_record_that_is_barely_begun_is_passed_over() -> None:
    for cut in ("07-23-2026 15:29:2", "07-23-2026 15:29:26", "07-23-2026 15:29:26 RAM 9101/125"):
        assert parse_line(f"{ORIN} {cut}") == parse_line(ORIN)


def test_record_without_memory_is_kept_apart_from_the_one_before() -> None:
    sample = parse_line(f"{ORIN} {THOR.replace('RAM 9101/125811MB', 'R')}")
    assert sample.ram_used_mb is None
    assert sample.rails_mw["VIN"] == 20000
    assert "VDD_GPU_SOC" not in sample.rails_mw


@pytest.mark.parametrize(
    "wrap",
    [
        "{}\r\n",
        "[2023-05-06 15:04:30] : {}",
        '"{}',
        'data: "{}\\n"',
        "{} CPV [ current:0mA power:0mV voltage:0.00mW ] TEMP [BCPU-therm: 40.50 ]",
        "\0{}\0",
    ],
)
def test_foreign_text_around_a_record_changes_nothing(wrap: str) -> None:
    assert parse_line(wrap.format(NANO)) == parse_line(NANO)


def test_wrapped_lines_are_joined() -> None:
    assert parse_line(NANO.replace(" POM", " \n  POM").replace(" GPU@", "\n\tGPU@")) == parse_line(
        NANO
    )
    assert parse_line(NANO.replace(" EMC", "\\\n  \\ EMC")) == parse_line(NANO)
    assert parse_line(NANO.replace("RAM 1200/3964MB", "**RAM 1200/3964MB**")) == parse_line(NANO)


def test_line_without_its_head_keeps_the_rest() -> None:
    sample = parse_line(XAVIER[XAVIER.index("[1%") :])
    assert (sample.ram_used_mb, sample.ram_total_mb) == (None, None)
    assert sample.cpu_load_pct == (1.0, None)
    assert sample.rails_mw == parse_line(XAVIER).rails_mw


def test_line_cut_anywhere_never_gives_a_wrong_value() -> None:
    for line in (TK1, TX1, NANO, XAVIER, ORIN, THOR):
        whole = parse_line(line)
        for length in range(line.index("MB") + 2, len(line)):
            part = parse_line(line[:length])
            assert part.ram_used_mb == whole.ram_used_mb
            assert part.rails_mw.items() <= whole.rails_mw.items()
            assert part.temperatures_c.items() <= whole.temperatures_c.items()
            assert part.cpu_load_pct == whole.cpu_load_pct[: len(part.cpu_load_pct)]
            assert part.gpu_load_pct in (None, whole.gpu_load_pct)


def test_core_list_that_lost_its_bracket_ends_where_it_stops_making_sense() -> None:
    sample = parse_line("RAM 1/2MB CPU [5%@729,6%@729,... GR3D_FREQ 7%@[305,306] cpu@40C")
    assert sample.cpu_load_pct == (5.0, 6.0)
    assert sample.gpu_clocks_mhz == (305, 306)


@pytest.mark.parametrize(
    "text", ["", " \n", "bash: tegrastats: command not found", "RAM", "RAM 12/", "MTS fg 0% bg 0%",
             "10-16-2023 10:59:22", "\0" * 99, "RAM " + "9" * 5000 + "/1MB", "loss 1/2 at 3C"]
)  # fmt: skip
def test_text_without_a_record_is_refused(text: str) -> None:
    with pytest.raises(FileError, match="holds no tegrastats record") as caught:
        parse_line(text)
    assert "as tegrastats prints it" in caught.value.fix
    assert len(caught.value.problem) < 500


MODULE_POWER = [
    ("tk1", TK1, None),
    ("tx1", TX1, None),
    ("nano", NANO, 3100),
    ("jetson-nano", NANO, 3100),
    ("agx-xavier", XAVIER, 100 + 200 + 800 + 0 + 140 + 1900),
    ("agx-orin", ORIN, 4700 + 800 + 3900),
    ("agx-thor", THOR, -392 + 8710 + 6767),
    ("orin-nano", "RAM 1/2MB VDD_IN 4800mW/1mW VDD_CPU_GPU_CV 500mW/1mW VDD_SOC 1400mW/1mW", 4800),
    ("xavier-nx", "RAM 1/2MB CPU [1%@2]", None),
]


@pytest.mark.parametrize(("board", "line", "milliwatts"), MODULE_POWER)
def test_module_power_follows_the_rule_of_the_board(
    board: str, line: str, milliwatts: int | None
) -> None:
    assert module_power_mw(parse_line(line), board) == milliwatts


def test_module_power_is_none_when_a_rail_of_the_sum_is_missing() -> None:
    assert module_power_mw(parse_line(ORIN[: ORIN.index("VIN_SYS")]), "agx-orin") is None


def test_swapped_labels_of_a_nano_are_seen_and_said() -> None:
    swapped = parse_line(NANO.replace("POM_5V_GPU 700", "POM_5V_GPU 8791"))
    assert module_power_mw(swapped, "nano") == 8791
    power = rails.module_power(swapped.rails_mw, "nano")
    assert power is not None
    assert power.rule == "POM_5V_GPU (labels swapped: it exceeds POM_5V_IN)"


def test_unknown_board_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'orin-nano'"):
        module_power_mw(parse_line(NANO), "orin-nanno")


_JUNK = st.text(alphabet=" /@%[],-.0123456789CMBmWRAGD3_FREQ\n\x00é", max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    line=st.sampled_from([TK1, TX1, NANO, XAVIER, ORIN, THOR]),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 30), _JUNK), max_size=4),
)
def test_any_mutation_gives_a_sample_or_the_error(
    line: str, edits: list[tuple[int, int, str]]
) -> None:
    for start, removed, junk in edits:
        line = line[:start] + junk + line[start + removed :]
    _check(line)


@pytest.mark.parametrize("seed", range(4))
def test_twenty_thousand_mutations_give_a_sample_or_the_error(seed: int) -> None:
    draw = random.Random(seed)
    junk = " /@%[],-.0123456789CMBmWRAGD3_FREQ\n\x00é"
    for _ in range(5000):
        line = draw.choice([TK1, TX1, NANO, XAVIER, ORIN, THOR])
        for _ in range(draw.randrange(1, 5)):
            at = draw.randrange(len(line) + 1)
            inserted = "".join(draw.choices(junk, k=draw.randrange(8)))
            line = line[:at] + inserted + line[at + draw.randrange(30) :]
        _check(line)


def _check(line: str) -> None:
    """Parse ``line``: the one error, or a sample whose values are what their types promise."""
    try:
        sample = parse_line(line)
    except FileError:
        return
    assert all(isinstance(value, int) for value in sample.rails_mw.values())
    assert all(value > -100 for value in sample.temperatures_c.values())
    assert all(load is None or 0 <= load <= 999 for load in sample.cpu_load_pct)
    assert len(sample.cpu_clocks_mhz) == len(sample.cpu_load_pct)
    for board in rails.boards():
        module_power_mw(sample, board)


def test_line_is_parsed_in_a_tenth_of_a_millisecond() -> None:
    lines = [TK1, TX1, NANO, XAVIER, ORIN, THOR]

    def parse_all() -> float:
        start = time.process_time_ns()
        for line in lines:
            parse_line(line)
        return (time.process_time_ns() - start) / len(lines) / 1e3

    # the best of many: what else this machine does is not the parser's fault
    assert min(parse_all() for _ in range(300)) <= 100


def test_hostile_length_is_parsed_in_linear_time() -> None:
    for unit in (
        "a",
        " a",
        " a@",
        "[5%,",
        " [5%",
        "GR3D_FREQ @[1,",
        "-2023 10:59:22 ",
        "RAM 1/2MB",
    ):
        text = NANO + unit * (200_000 // len(unit))
        start = time.process_time()
        parse_line(text)
        assert time.process_time() - start < 5, unit


def test_probe_finds_the_program_on_the_path_or_says_so(tmp_path: Path) -> None:
    state = tegrastats.probe(str(tmp_path), "/usr/bin:/bin")
    assert not state.available
    assert state.reason == "no program called tegrastats: it comes with Jetson Linux"
    program = tmp_path / "usr" / "bin" / "tegrastats"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    assert not tegrastats.probe(str(tmp_path), "/usr/bin:/bin").available
    program.chmod(0o755)
    assert tegrastats.probe(str(tmp_path), "/usr/bin:/bin") == (True, None, None)


# -- The real lines ----------------------------------------------------------------------------


def _corpus(shared: Path) -> Iterator[tuple[str, str, str]]:
    """Yield file, board and line of every intact real line."""
    odd = {"nano-swapped-rails": "nano", "tx2-nx-or-4gb": "tx2", "t210-fuelgauge-device": "tx1"}
    for path in sorted((shared / "tegrastats" / "lines").glob("*.log")):
        board = path.name.split("__")[0]
        for line in path.read_text().splitlines():
            if line.strip():
                yield path.name, odd.get(board, board), line


# Read off the lines by eye: file, line, used MB, total MB, cores, cores that are off, GPU load,
# hottest zone, module mW.
GOLDEN = [
    ("tk1__l4t21", 0, 598, 1892, 4, 3, None, None, None),
    ("tx1__l4t24", 0, 1104, 3995, 4, 0, 0, None, None),
    ("tx1__l4t28", 3, 1982, 3983, 4, 0, 53, None, None),
    ("tx2__l4t28", 5, 4923, 7850, 6, 0, 22, 59, 9273),
    ("tx2__l4t32", 4, 3074, 7859, 6, 0, 99, 37, 7842),
    ("tx2-nx-or-4gb__l4t32", 0, 1873, 3830, 6, 0, 0, 39, 2930),
    ("nano__l4t32.1", 0, 724, 3965, 4, 0, 0, 35.5, 877),
    ("nano__jetpack4", 4, 2927, 3963, 4, 0, 99, 61.5, 8055),
    ("nano__jetpack4", 5, 2437, 3964, 4, 0, 0, 45.5, None),
    ("nano__jetpack4.6.1", 1, 1409, 3964, 4, 2, 0, 39.5, 2003),
    ("nano-swapped-rails__jetpack4.6", 0, 2020, 3964, 4, 0, 83, 53.5, 8791),
    ("t210-fuelgauge-device__unknown", 0, 2594, 3483, 4, 0, 2, 41.5, None),
    ("xavier-nx__jetpack4", 0, 2387, 7774, 6, 0, 0, 33, 3528),
    ("xavier-nx__jetpack5", 0, 2690, 6854, 6, 2, 0, 39.5, 5079),
    ("agx-xavier__l4t31", 0, 2336, 15827, 8, 4, 0, 28.75, 3793),
    ("agx-xavier__jetpack4", 2, 1308, 31929, 8, 4, 0, 38.75, 3781),
    ("agx-xavier__jetpack5", 0, None, None, 8, 0, 0, 38.75, 5258),
    ("agx-xavier__l4t32.6.1", 0, 3149, 31920, 8, 4, 39, 37.75, None),
    ("orin-nano__jetpack6", 0, 6185, 7620, 6, 0, 63, 53.968, 12479),
    ("orin-nano__l4t39.2.1", 1, 2837, 7486, 6, 0, 0, 46.5, 3462),
    ("orin-nx__jetpack5", 0, 6334, 15388, 8, 4, 0, 48.875, 5299),
    ("orin-nx__jetpack6", 2, 6567, 15656, 8, 0, 7, 58.937, 12673),
    ("agx-orin__l4t34-35", 0, 1205, 30623, 12, 0, 0, 43.5, 9428),
    ("agx-orin__l4t35", 2, 13983, 62780, 12, 0, 14, 77.281, 22430),
    ("agx-orin__l4t36", 2, 29114, 30697, 12, 0, 0, 53.062, 12377),
    ("agx-orin__l4t36-devkit", 1, 7029, 62841, 12, 0, 87, 49.062, 11645),
    ("agx-orin__l4t39.2", 0, 20642, 62817, 12, 0, 12, 52.968, 13907),
    ("agx-thor__l4t38", 0, 105265, 125772, 14, 0, None, 38.875, 13484),
    ("agx-thor__l4t39.2", 0, 36529, 125749, 14, 0, None, 63.281, 74820),
]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row[0]}:{row[1]}")
def test_real_line_says_what_a_reader_sees(shared: Path, row: tuple[object, ...]) -> None:
    name, index, *expected = row
    board, line = [(b, text) for file, b, text in _corpus(shared) if file == f"{name}.log"][
        int(str(index))
    ]
    sample = parse_line(line)
    assert [
        sample.ram_used_mb,
        sample.ram_total_mb,
        len(sample.cpu_load_pct),
        sample.cpu_load_pct.count(None),
        sample.gpu_load_pct,
        max(sample.temperatures_c.values(), default=None),
        module_power_mw(sample, board),
    ] == expected


def test_every_real_line_is_plausible(shared: Path) -> None:
    count = 0
    for file, board, line in _corpus(shared):
        count += 1
        sample = parse_line(line)
        where = f"{file}: {line[:60]}"
        if not line.startswith("["):
            assert 0 < (sample.ram_used_mb or 0) < (sample.ram_total_mb or 0), where
        assert len(sample.cpu_load_pct) in (4, 6, 8, 12, 14), where
        assert any(load is not None for load in sample.cpu_load_pct), where
        assert all(15 < celsius < 85 for celsius in sample.temperatures_c.values()), where
        assert len(sample.temperatures_c) >= (0 if board in ("tk1", "tx1") else 4), where
        assert all(-400 <= power < 100_000 for power in sample.rails_mw.values()), where
        power = module_power_mw(sample, board)
        assert (power is not None) == bool(sample.rails_mw), where
        assert power is None or 500 < power < 80_000, where
    assert count == 111


def _by_words(line: str) -> tuple[dict[str, int], dict[str, float], list[str]]:
    """Read rails, temperatures and cores of an intact line in another way: word by word."""
    words = line.split()
    rails_mw, temperatures_c = {}, {}
    for name, word in itertools.pairwise(["", *words]):
        if re.fullmatch(r"-?\d+(mW)?(/-?\d+(mW)?){1,2}", word):
            rails_mw[name] = int(word.split("/")[0].removesuffix("mW"))
        zone, at, degrees = word.partition("@")
        if at and degrees.endswith("C"):
            temperatures_c[zone] = float(degrees.split("/")[0].removesuffix("C"))
    cores = next((w for w in words if w.startswith("[") and ("%" in w or "off" in w)), "[]")
    return rails_mw, temperatures_c, cores[1 : cores.index("]")].split(",")


def test_every_real_line_says_what_its_words_say(shared: Path) -> None:
    nothing = {("pmic", 100.0), ("pmic", 50.0), ("charger", 115.0)}
    for file, _, line in _corpus(shared):
        sample = parse_line(line)
        rails_mw, temperatures_c, cores = _by_words(line)
        assert sample.rails_mw == rails_mw, file
        assert sample.temperatures_c == {
            zone: celsius
            for zone, celsius in temperatures_c.items()
            if celsius > -200 and (zone.lower(), celsius) not in nothing
        }, file
        loads = [None if core == "off" else float(core.split("%")[0]) for core in cores]
        assert list(sample.cpu_load_pct) == loads, file


def test_mangled_real_lines_lose_only_what_is_lost(shared: Path) -> None:
    expected = {
        "agx-orin__csv-quoted-1": (7822, 12, 31, 8, 3188 + 2390 + 4614),
        "agx-orin__csv-quoted-2": (6879, 12, 0, 8, 2801 + 400 + 4536),
        "agx-xavier__yaml-folded-1": (2336, 8, 0, 7, 465 + 310 + 1242 + 1776),
        "nano__markdown-bold-1": (3431, 4, 0, 5, 3014),
        "nano__wrapped-1": (2927, 4, 99, 6, 8055),
        "orin-nano-4gb__wrapped+tail-missing-1": (1484, 6, 0, 6, 4428),
        "orin-nx__ellipsis-abbreviated-1": (809, 8, 11, 2, None),
        "orin-nx__newlines-lost-1": (6238, 8, 7, 3, None),
        "tx2__foreign-prefix-1": (4923, 6, 22, 8, 9273),
        "tx2__foreign-prefix-and-suffix-1": (1645, 6, 0, 7, None),
        "tx2__wrapped-1": (2007, 6, 0, 7, 1423),
        "xavier-nx__tail-truncated-1": (1802, 6, 99, 5, 14664),
    }
    found = {}
    for path in sorted((shared / "tegrastats" / "lines" / "mangled").glob("*.log")):
        sample = parse_line(path.read_text())
        board = path.name.split("__")[0].replace("-4gb", "")
        found[path.stem] = (
            sample.ram_used_mb,
            len(sample.cpu_load_pct),
            sample.gpu_load_pct,
            len(sample.temperatures_c),
            module_power_mw(sample, board),
        )
    assert found == expected


def test_real_lines_survive_mutation(shared: Path) -> None:
    lines = [line for _, _, line in _corpus(shared)]
    draw = random.Random(5)
    for _ in range(3000):
        line = draw.choice(lines)
        at = draw.randrange(len(line))
        junk = "".join(draw.choices(" /@%[]C0123456789MBmWxé\n", k=draw.randrange(4)))
        mutated = line[:at] + junk + line[at + draw.randrange(20) :]
        try:
            parse_line(mutated)
        except FileError:
            assert at < 40 or len(mutated) < 60
