from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.meters import packages
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

STATUS = """\
Package: libnvinfer8
Status: install ok installed
Priority: optional
Section: multiverse/devel
Maintainer: cudatools <cudatools@nvidia.com>
Architecture: arm64
Version: 8.2.1-1+cuda10.2
Description: TensorRT runtime libraries
 Version: 1.0 of a continued line is none

Package: libnvinfer7
Status: deinstall ok config-files
Version: 7.1.3-1+cuda10.2

Package: tensorrt
Status: hold ok installed
Version: 8.2.1.9-1+cuda10.2
"""


def test_installed_and_held_packages_are_listed_with_their_version(tmp_path: Path) -> None:
    assert packages.installed(plant(tmp_path, {"var/lib/dpkg/status": STATUS})) == {
        "libnvinfer8": "8.2.1-1+cuda10.2",
        "tensorrt": "8.2.1.9-1+cuda10.2",
    }


def test_machine_without_dpkg_has_no_packages(tmp_path: Path) -> None:
    assert packages.installed(str(tmp_path)) == {}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=300))
def test_no_content_breaks_it(tmp_path: Path, data: bytes) -> None:
    found = packages.installed(plant(tmp_path, {"var/lib/dpkg/status": STATUS.encode() + data}))
    assert found["libnvinfer8"] == "8.2.1-1+cuda10.2"
