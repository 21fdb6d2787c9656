"""A board that is reached over SSH: what travels there, is measured there, and comes back.

Nothing is installed on the board, and nothing stays there: one temporary folder, which goes with
the connection.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgedeploy
from edgedeploy import artifact as artifacts
from edgedeploy.errors import ArtifactError, EdgeDeployError, MeasurementError
from edgedeploy.profiling import board_scripts as scripts
from edgedeploy.profiling import holding, ssh, worker_process
from edgedeploy.profiling.ssh import Ssh
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedeploy.profiling.holding import Hold
    from edgedeploy.profiling.worker_process import OnEvent
    from edgedeploy.runtime.manifest import Manifest

PYTHON = "python3"
"""What a board's own Python is called."""

_ARTIFACT = "artifact"
_PACKAGE = "edgedeploy"
_BUILD_S = 3600.0
_KILLED = 128  # a shell's exit code for signal 1 is one more


@dataclass(frozen=True, slots=True)
class Board:
    """A board with our code on it, held for us alone; `connected` makes one."""

    _ssh: Ssh
    _python: str
    _hold: Hold

    @property
    def host(self) -> str:
        """How ssh is told to reach it."""
        return self._ssh.host

    @property
    def reachable(self) -> bool:
        """Whether the connection still stands."""
        return self._hold.connection.poll() is None

    def profile(
        self,
        artifact: Path,
        job: Mapping[str, Any],
        *,
        timeout_s: float,
        on_event: OnEvent = lambda _: None,
    ) -> tuple[dict[str, Any], Manifest]:
        """Measure an artifact on the board.

        A trt artifact whose engine does not fit the board's TensorRT or GPU is built there from
        its source, in a process of its own before the one that measures. Where it was waiting for
        that, the engine comes back into the artifact; one that was built for elsewhere stays as it
        is here.

        Args:
            artifact: Its folder on this machine.
            job: As for the worker; its ``artifact`` is ignored.
            timeout_s: Seconds of silence after which the worker counts as stuck; a build has an
                hour.
            on_event: Gets the ``phase`` and ``progress`` events.

        Returns:
            The worker's result, and the manifest of what was measured.

        Raises:
            EdgeDeployError: What the worker says is wrong; the message names the host.
            MeasurementError: The connection broke, or the worker died or got stuck.
        """
        manifest = manifests.read(str(artifact))
        manifests.verify(str(artifact), manifest)
        on_event({"event": "phase", "phase": f"copying to {self._ssh.host}"})
        names = [manifests.MANIFEST, *(info.name for info in manifest.files)]
        self.send(_ARTIFACT, {f"{_ARTIFACT}/{name}": artifact / name for name in names})
        there = f"{self._hold.folder}/{_ARTIFACT}"
        if manifest.backend == "trt" and manifests.SOURCE in names:
            order = {"job": "prepare", "artifact": there, "board": job["board"]}
            built = self.run(order, timeout_s=max(timeout_s, _BUILD_S), on_event=on_event)
            if built["rebuilt"]:
                manifest = self._brought_back(artifact, manifest)
        result = self.run({**job, "artifact": there}, timeout_s=timeout_s, on_event=on_event)
        return result, manifest

    def run(
        self, job: Mapping[str, Any], *, timeout_s: float, on_event: OnEvent = lambda _: None
    ) -> dict[str, Any]:
        """Let a fresh worker process on the board do one job.

        Raises:
            EdgeDeployError: As `profile`.
        """
        try:
            return worker_process.converse(
                self._ssh.argv(scripts.WORK, self._hold.folder, self._python),
                job,
                timeout_s=timeout_s,
                on_event=on_event,
                begin=scripts.BEGIN,
                died=self._died,
            )
        except EdgeDeployError as error:
            raise type(error)(f"on {self._ssh.host}: {error.problem}", fix=error.fix) from error

    def guardian_argv(self) -> list[str]:
        """Return what starts a worker that outlives the connection, to put things back."""
        return self._ssh.argv(scripts.GUARD, self._hold.folder, self._python)

    def _died(self, code: int, phase: str, words: str) -> EdgeDeployError:
        if code != ssh.LOST:
            return worker_process.ended(min(_KILLED - code, 0) or code, phase, words)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it knows more, if it ended too
            self._hold.connection.wait(timeout=1)
        said = [text for text in (worker_process.tail(self._hold.stderr), words) if text]
        return MeasurementError(
            f"the connection broke in phase {phase!r}; ssh says: {' | '.join(said) or 'nothing'}",
            fix="measure again when the board answers; what ran there ends and is removed",
        )

    def send(self, top: str, files: Mapping[str, Path]) -> None:
        """Replace the folder ``top`` in ours on the board by ``files``, by their paths there.

        Raises:
            EdgeDeployError: The connection broke.
            FileError: The board's disk is full.
        """
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for name, path in files.items():
                    info = tarfile.TarInfo(name)  # no owner, no time: they are this machine's
                    info.size = path.stat().st_size
                    with path.open("rb") as file:
                        tar.addfile(info, file)
            archive.seek(0)
            self._ssh.run(scripts.TAKE, self._hold.folder, top, stdin=archive)

    def _brought_back(self, artifact: Path, before: Manifest) -> Manifest:
        """Return the manifest of what was built on the board, and complete a waiting artifact.

        Raises:
            ArtifactError: What came is not what the board's manifest says.
            FileError: The artifact cannot be written to.
        """
        with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
            self._fetch([manifests.MANIFEST], Path(folder))
            after = manifests.read(folder)
        if before.waiting:
            made = [info.name for info in after.files if info not in before.files]
            with artifacts.replacing(artifact) as staging:
                shutil.copytree(artifact, staging, dirs_exist_ok=True)
                self._fetch([manifests.MANIFEST, *made], staging)
                manifests.verify(str(staging), after)
        return after

    def _fetch(self, names: list[str], target: Path) -> None:
        """Copy files of the artifact on the board to ``target``."""
        with tempfile.TemporaryFile() as archive:
            where = f"{self._hold.folder}/{_ARTIFACT}"
            self._ssh.run(scripts.GIVE, where, *names, stdout=archive)
            archive.seek(0)
            while (line := archive.readline()) and line.rstrip() != scripts.BEGIN:
                continue
            try:
                with tarfile.open(fileobj=archive) as tar:
                    for name in names:
                        file = tar.extractfile(name)
                        (target / name).write_bytes(b"" if file is None else file.read())
            except (tarfile.TarError, KeyError) as error:
                raise ArtifactError(
                    f"{self._ssh.host} sent something else than {', '.join(names)}: {error}",
                    fix="measure again; if it stays, report it with that line",
                ) from error


@contextlib.contextmanager
def connected(host: str, python: str = PYTHON) -> Iterator[Board]:
    """Reach a board, hold it for this process alone, and copy our code to it.

    One connection serves all that is done in the block. After it, whatever happens, nothing of
    ours is left on the board; where this process or the connection dies, the board itself cleans
    up.

    Args:
        host: As ssh takes it, e.g. ``"user@board"``; ``EDGEDEPLOY_SSH`` may hold another command
            line than ``ssh``.
        python: Interpreter on the board, Python 3.6 or newer.

    Raises:
        EdgeDeployError: The board is not reached, lets nobody in, or is measured by another.
        FileError: Its disk is full.
        MissingDependencyError: ssh is missing here, or Python or ``tar`` there.
        UnsupportedError: Its Python is too old.
        UsageError: ``host`` is none.
    """
    with tempfile.TemporaryDirectory(prefix="edgedeploy-") as private:
        line = Ssh(ssh.program(), ssh.check_host(host), Path(private) / "ssh")
        with holding.hold(line, python) as held:
            board = Board(line, python, held)
            board.send(_PACKAGE, _travelling())
            yield board


def _travelling() -> dict[str, Path]:
    """Return what a board gets of this package, by the path that it has there."""
    package = Path(edgedeploy.__file__).parent
    files = [package / "__init__.py"]
    for name in worker_process.TRAVELLING:
        files += sorted((package / name).rglob("*.py"))
    return {f"{_PACKAGE}/{path.relative_to(package).as_posix()}": path for path in files}
