from __future__ import annotations

import pytest

from edgedeploy.errors import UnsupportedError, UsageError
from edgedeploy.trtexec.flags import TABLE, numbers, spell

VERSIONS = ("8.2.1", "8.4.1", "8.5.2", "8.6.2", "10.3.0", "10.9.0", "10.16.2", "11.1.0", "11.4.1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("word", sorted({row.word for row in TABLE}))
def test_no_version_has_two_spellings_of_one_thing(word: str, version: str) -> None:
    known = numbers(version)
    rows = [row for row in TABLE if row.word == word]
    fitting = [r for r in rows if r.first <= known and (r.before is None or known < r.before)]
    assert len(fitting) <= 1


@pytest.mark.parametrize(
    ("word", "version", "said"),
    [
        ("workspace", "8.2.1", "--workspace=256"),
        ("workspace", "8.4.0", "--memPoolSize=workspace:256"),
        ("build only", "8.5.2", "--buildOnly"),
        ("build only", "8.6.0", "--skipInference"),
        ("detail", "8.2.1", "--nvtxMode=verbose"),
        ("detail", "10.3.0", "--profilingVerbosity=detailed"),
        ("typed", "10.0.0", "--stronglyTyped"),
        ("transfers", "11.0.0", "--includeDataTransfers"),
        ("no graph", "11.0.0", "--noCudaGraph"),
        ("no spin", "11.0.0", "--noSpinWait"),
        ("graph", "10.16.2", "--useCudaGraph"),
        ("spin", "8.2.1", "--useSpinWait"),
        ("same-compute-capability", "10.9", "--hardwareCompatibilityLevel=sameComputeCapability"),
    ],
)
def test_a_thing_is_said_as_its_version_says_it(word: str, version: str, said: str) -> None:
    assert spell(word, numbers(version), 256) == (said,)


@pytest.mark.parametrize(
    ("word", "version"),
    [("transfers", "10.16.2"), ("no graph", "8.2.1"), ("graph", "11.0"), ("typed", "11.4.1")],
)
def test_what_is_the_default_is_not_said(word: str, version: str) -> None:
    assert spell(word, numbers(version)) == ()


@pytest.mark.parametrize(
    ("word", "version", "known"),
    [
        ("fp16", "11.0.0", "--fp16 from 8.0 to before 11.0"),
        ("optimisation level", "8.5.2", "--builderOptimizationLevel=… from 8.6"),
        ("same-compute-capability", "10.8.0", "from 10.9"),
        ("typed", "8.6.2", "--stronglyTyped from 10.0 to before 11.0"),
    ],
)
def test_what_a_version_cannot_be_told_is_refused(word: str, version: str, known: str) -> None:
    with pytest.raises(UnsupportedError, match=version) as caught:
        spell(word, numbers(version), 3)
    assert known in caught.value.problem


@pytest.mark.parametrize(
    "text", ["", "8", "8.2.x", "v8.2.1", "8.2.1\n", "8.2.1; ls", "٨.٢.١", "1.2.3.4.5"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no version of TensorRT"):
        numbers(text)
