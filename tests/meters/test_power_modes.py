"""Listing, asking for and setting power modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import EdgeDeployError, UnsupportedError
from edgedeploy.meters import power_modes
from edgedeploy.meters.power_modes import NeedsRestartError, Nvpmodel, PowerMode
from tests import fake_nvpmodel
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_nvpmodel import FakeModes

CONFIG = """# < POWER_MODEL ID=id_num NAME=mode_name >
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_1 /sys/devices/system/cpu/cpu1/online
#< POWER_MODEL ID=8 NAME=LEFT_OUT >
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_1 1
< POWER_MODEL ID=1 NAME=5W >
< PM_CONFIG DEFAULT=0 >
"""
MAXN, WEAK = PowerMode(0, "MAXN"), PowerMode(1, "5W")


@pytest.fixture
def fake(tmp_path: Path) -> FakeModes:
    return fake_nvpmodel.install(tmp_path / "fake")


def opened(fake: FakeModes, user: int = 0) -> Nvpmodel:
    return Nvpmodel(path=str(fake.bin), user=user)


def test_the_modes_are_those_of_the_configuration(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/nvpmodel.conf": CONFIG})
    assert power_modes.read_list(str(tmp_path)) == [MAXN, WEAK]


def test_a_mode_that_is_listed_twice_is_one(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/nvpmodel.conf": CONFIG + "< POWER_MODEL ID=0 NAME=MAXN >\n"})
    assert power_modes.read_list(str(tmp_path)) == [MAXN, WEAK]


def test_without_a_configuration_there_is_no_list(tmp_path: Path) -> None:
    assert power_modes.read_list(str(tmp_path)) == []


def test_the_program_lists_the_modes_where_the_configuration_does_not(fake: FakeModes) -> None:
    assert opened(fake).modes == [MAXN, WEAK]


@pytest.mark.parametrize("greeting", fake_nvpmodel.GREETINGS)
def test_the_mode_is_read_from_what_each_generation_prints(tmp_path: Path, greeting: str) -> None:
    fake = fake_nvpmodel.install(tmp_path / "fake", greeting=greeting, mode=1)
    assert opened(fake).query() == WEAK


def test_a_mode_without_its_number_is_known_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text('#!/bin/sh\necho "NV Fan Mode:quiet"; echo "NV Power Mode: 5W"\n')
    program.chmod(0o755)
    plant(tmp_path, {"etc/nvpmodel.conf": CONFIG})
    assert Nvpmodel(root=str(tmp_path), path="/", user=0).query() == WEAK


def test_a_mode_is_set(fake: FakeModes) -> None:
    opened(fake).set(WEAK)
    assert fake.mode == 1


def test_a_mode_that_takes_a_restart_is_refused_and_the_board_does_not_restart(
    fake: FakeModes,
) -> None:
    fake.has("restarts", "1")
    with pytest.raises(NeedsRestartError, match="5W takes a restart") as caught:
        opened(fake).set(WEAK)
    assert "sudo nvpmodel -m 1" in caught.value.fix
    assert fake.mode == 0
    assert not (fake.board / "restarted").exists()


def test_a_restart_asked_for_the_mode_that_is_set_is_no_error(fake: FakeModes) -> None:
    fake.has("restarts", "0")
    opened(fake).set(MAXN)
    assert not (fake.board / "restarted").exists()


def test_a_failed_change_says_what_was_printed(fake: FakeModes) -> None:
    fake.has("fails", "1")
    with pytest.raises(EdgeDeployError, match=r"exit code 255.*MAXN.*failed to set power mode"):
        opened(fake).set(WEAK)


def test_a_program_that_does_not_say_its_mode_is_an_error(fake: FakeModes) -> None:
    found = opened(fake)
    fake.has("mute")
    with pytest.raises(EdgeDeployError, match=r"exit code 13.*Error opening"):
        found.query()


def test_a_machine_without_nvpmodel_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no nvpmodel") as caught:
        Nvpmodel(root=str(tmp_path), path=str(tmp_path))
    assert "leave --power-mode out" in caught.value.fix


def test_a_board_that_lists_no_mode_is_refused(tmp_path: Path) -> None:
    fake = fake_nvpmodel.install(tmp_path / "fake", {})
    with pytest.raises(UnsupportedError, match="lists no power mode"):
        opened(fake)


def test_a_user_sets_modes_through_sudo_where_that_needs_no_password(fake: FakeModes) -> None:
    fake_nvpmodel.install_sudo(fake)
    opened(fake, user=1000).set(WEAK)
    assert fake.mode == 1


def test_a_sudo_that_wants_a_password_is_named_with_the_ways_out(fake: FakeModes) -> None:
    fake_nvpmodel.install_sudo(fake, refuses=True)
    with pytest.raises(UnsupportedError, match="a password is required") as caught:
        opened(fake, user=1000)
    assert "root@board" in caught.value.fix
    assert f"NOPASSWD: {fake.bin}/nvpmodel" in caught.value.fix
    assert not fake.changes


def test_a_user_without_sudo_is_told_so(fake: FakeModes, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="there is no sudo"):
        Nvpmodel(root=str(tmp_path), path="fake/bin", user=1000)


def test_a_program_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(EdgeDeployError, match=r"has not ended within 0\.05 s"):
        Nvpmodel(path=str(tmp_path), user=0, patience_s=0.05)


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(EdgeDeployError, match="cannot be started"):
        Nvpmodel(path=str(tmp_path), user=0)
