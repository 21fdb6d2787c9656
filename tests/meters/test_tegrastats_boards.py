"""One real line of each board, every value read off it by eye. The lines are in the shared data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters.tegrastats import TegraSample, parse_line

if TYPE_CHECKING:
    from pathlib import Path

# File -> its first line.
GOLDEN = {
    "tk1__l4t21": TegraSample(
        598, 1892, {}, {}, None, (0, None, None, None), cpu_clocks_mhz=(None,) * 4
    ),
    "tx1__l4t28": TegraSample(
        3691, 3983, {}, {}, 0, (0,) * 4, 2780, 8192, cpu_clocks_mhz=(1734,) * 4,
        gpu_clocks_mhz=(998,),
    ),
    "tx2__l4t28": TegraSample(
        2586, 7846,
        {"VDD_IN": 3177, "VDD_CPU": 536, "VDD_GPU": 383, "VDD_SOC": 536, "VDD_WIFI": 0,
         "VDD_DDR": 575},
        {"BCPU": 41, "MCPU": 41, "GPU": 39, "PLL": 41, "Tboard": 35, "Tdiode": 37.75,
         "thermal": 40.2},
        53, (0,) * 6, cpu_clocks_mhz=(960, 499, 499, 959, 960, 960), gpu_clocks_mhz=(140,),
    ),
    "tx2__l4t32": TegraSample(
        2344, 7852,
        {"VDD_SYS_GPU": 152, "VDD_SYS_SOC": 687, "VDD_4V0_WIFI": 0, "VDD_IN": 3056,
         "VDD_SYS_CPU": 152, "VDD_SYS_DDR": 883},
        {"PLL": 37.5, "MCPU": 37.5, "Tboard": 32, "GPU": 35, "BCPU": 37.5, "thermal": 36.5,
         "Tdiode": 34.25},
        0, (1, None, None, 1, 0, 2), 0, 3926,
        cpu_clocks_mhz=(345, None, None, 345, 345, 345), gpu_clocks_mhz=(624,),
    ),
    "tx2-nx-or-4gb__l4t32": TegraSample(
        1873, 3830,
        {"VDD_SYS_GPU": 77, "VDD_SYS_SOC": 539, "VDD_IN": 2930, "VDD_SYS_CPU": 539,
         "VDD_SYS_DDR": 727},
        {"PLL": 39, "MCPU": 39, "Tboard": 35, "GPU": 37, "BCPU": 39, "thermal": 38.5,
         "Tdiode": 37},
        0, (8, 26, 24, 7, 7, 6), cpu_clocks_mhz=(2016, 2034, 2035, 2026, 2034, 2034),
        gpu_clocks_mhz=(114,),
    ),
    "nano__l4t32.1": TegraSample(
        724, 3965, {"POM_5V_IN": 877, "POM_5V_GPU": 0, "POM_5V_CPU": 125},
        {"PLL": 25, "CPU": 27.5, "GPU": 29, "AO": 35.5, "thermal": 28.5},
        0, (1, 0, 0, 0), cpu_clocks_mhz=(102,) * 4, gpu_clocks_mhz=(153,),
    ),
    "nano__jetpack4": TegraSample(
        613, 3964, {"POM_5V_IN": 900, "POM_5V_GPU": 0, "POM_5V_CPU": 123},
        {"PLL": 39, "CPU": 40.5, "GPU": 41, "AO": 46, "thermal": 41},
        0, (2, 1, 0, 0), 0, 1982, cpu_clocks_mhz=(102,) * 4,
    ),
    "t210-fuelgauge-device__unknown": TegraSample(
        2594, 3483, {},
        {"LCPU": 36.5, "CPU": 33, "Tdiode": 40, "PLL": 32, "GPU": 32.5, "thermal": 39,
         "AO": 41.5, "max170xx": 38.9, "Tboard": 39},
        2, (9, 9, 12, 8), 366, 4096, cpu_clocks_mhz=(306,) * 4,
    ),
    "xavier-nx__jetpack5": TegraSample(
        2690, 6854, {"VDD_IN": 5079, "VDD_CPU_GPU_CV": 696, "VDD_SOC": 1104},
        {"AUX": 39, "CPU": 39.5, "AO": 37.5, "GPU": 37.5},
        0, (3, 7, 1, 0, None, None), 479, 3427,
        cpu_clocks_mhz=(1904, 1906, 1905, 1907, None, None), gpu_clocks_mhz=(510,),
    ),
    "agx-xavier__jetpack4": TegraSample(
        1903, 15692,
        {"GPU": 0, "CPU": 216, "SOC": 864, "CV": 0, "VDDRQ": 144, "SYS5V": 1889},
        {"AO": 32.5, "GPU": 32, "Tboard": 32, "Tdiode": 34.75, "AUX": 31.5, "CPU": 33.5,
         "thermal": 32.9},
        0, (1, 1, 2, 0, 0, 0, 0, 0), cpu_clocks_mhz=(1190,) * 8,
    ),
    "orin-nano__l4t39.2.1": TegraSample(
        2850, 7486, {"VDD_IN": 3582, "VDD_CPU_GPU_CV": 523, "VDD_SOC": 1127},
        {"cpu": 45.812, "soc2": 44.843, "soc0": 46.093, "gpu": 46.843, "tj": 46.843,
         "soc1": 46.281},
        0, (2, 0, 0, 0, 1, 0), cpu_clocks_mhz=(729,) * 6, gpu_clocks_mhz=(305,),
    ),
    "orin-nx__jetpack6": TegraSample(
        1224, 15656, {"VDD_IN": 4304, "VDD_CPU_GPU_CV": 573, "VDD_SOC": 1218},
        {"cv0": 41.156, "cpu": 45.843, "soc2": 39.593, "soc0": 42.562, "cv1": 42.156,
         "gpu": 43.406, "tj": 45.843, "soc1": 40.25, "cv2": 38.593},
        0, (1, 0, 0, 0, 0, 0, 0, 0), 0, 7828, cpu_clocks_mhz=(729,) * 8,
    ),
    "agx-orin__l4t36-devkit": TegraSample(
        6879, 62841,
        {"VDD_GPU_SOC": 2801, "VDD_CPU_CV": 400, "VIN_SYS_5V0": 4536, "VDDQ_VDD2_1V8AO": 604},
        {"cpu": 47.687, "tboard": 36.75, "soc2": 44.312, "tdiode": 37.5, "soc0": 45.718,
         "gpu": 43.218, "tj": 47.687, "soc1": 45.125},
        0, (5, 1, 0, 9, 1, 3, 5, 0, 3, 1, 1, 7), 0, 31421,
        cpu_clocks_mhz=(729,) * 12, gpu_clocks_mhz=(305, 305),
    ),
    "agx-thor__l4t38": TegraSample(
        105265, 125772,
        {"VDD_GPU": 1962, "VDD_CPU_SOC_MSS": 5887, "VIN_SYS_5V0": 5635, "VIN": 19780},
        {"cpu": 37.343, "tj": 38.875, "soc012": 37.468, "gpu": 38.875, "soc345": 37.406},
        None, (0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 0),
        cpu_clocks_mhz=(972,) * 14, gpu_clocks_mhz=(314, 314, 314),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_every_value_of_a_real_line_is_that_of_a_reader(shared: Path, name: str) -> None:
    text = (shared / "tegrastats" / "lines" / f"{name}.log").read_text()
    first = next(line for line in text.splitlines() if line.strip())
    assert parse_line(first) == GOLDEN[name]
