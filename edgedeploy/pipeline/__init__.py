"""The only room where the stages meet: each command's work, and the sweeps."""

from edgedeploy.pipeline.artifacts import evaluate, find_artifacts
from edgedeploy.pipeline.builds import build_all, find_target
from edgedeploy.pipeline.calibrations import FloatCost, calibrate, float_costs
from edgedeploy.pipeline.converting import convert
from edgedeploy.pipeline.deciding import (
    compare,
    compare_with_baseline,
    select,
    write_comparison,
    write_junit,
)
from edgedeploy.pipeline.models import find_models, read_labels
from edgedeploy.pipeline.places import Failure, is_sweep, sweep_code
from edgedeploy.pipeline.power_modes import power_modes
from edgedeploy.pipeline.profiles import import_trtexec, profile, reach, read_profiles, write_report
from edgedeploy.pipeline.resuming import Measured, find_measured
from edgedeploy.pipeline.turns import InTurns, find_two, profile_in_turns

__all__ = [
    "Failure",
    "FloatCost",
    "InTurns",
    "Measured",
    "build_all",
    "calibrate",
    "compare",
    "compare_with_baseline",
    "convert",
    "evaluate",
    "find_artifacts",
    "find_measured",
    "find_models",
    "find_target",
    "find_two",
    "float_costs",
    "import_trtexec",
    "is_sweep",
    "power_modes",
    "profile",
    "profile_in_turns",
    "reach",
    "read_labels",
    "read_profiles",
    "select",
    "sweep_code",
    "write_comparison",
    "write_junit",
    "write_report",
]
