"""Whatever a file holds, reading it gives a value or an `EdgeDeployError`; also 10 000 times."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy import trt_cache
from edgedeploy.calibration import arrays, files
from edgedeploy.errors import EdgeDeployError
from tests.calibration.samples import NAMES, is_same, with_arrays

MANY = settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
FEW = settings(max_examples=100)

_CALIBRATION = with_arrays()
_PACKED = arrays.pack(_CALIBRATION) or b""
_CACHE = (
    b"TRT-8201-EntropyCalibration2\nimage: 3c010204\n(Unnamed Layer* 1) [Constant]: 1\n"
    b"block: 0: 3f800000\n"
)


def _document() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        files.write(_CALIBRATION, Path(folder, "c.json"))
        document: dict[str, Any] = json.loads(Path(folder, "c.json").read_bytes())
        return document


_DOCUMENT = _document()


@st.composite
def _edited(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with a few spans cut out, doubled or written over."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        new = draw(st.one_of(st.binary(max_size=8), st.just(data[start:end] * 2)))
        data = data[:start] + new + data[end:]
    return data


_HEX = st.one_of(
    st.sampled_from(["0", "7fc00000", "7f800000", "ff800000", "bc010204", "80000000", "ffffffff"]),
    st.integers(0, 2**33).map(lambda bits: f"{bits:x}"),
    st.text(max_size=9),
)
_HEADERS = st.one_of(
    st.sampled_from(["TRT-8201-EntropyCalibration2", "TRT-8201-", "TRT--A", "", "TRT-1-A-B"]),
    st.text(max_size=30),
)


@st.composite
def _caches(draw: st.DrawFn) -> bytes:
    """Lines like those of a cache, in which everything may be wrong, and names come twice."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3))
    lines = [
        draw(st.sampled_from([": ", ":", " ", ""])).join((draw(st.sampled_from(names)), draw(_HEX)))
        for _ in range(draw(st.integers(0, 5)))
    ]
    return "\n".join([draw(_HEADERS), *lines]).encode("utf-8", "surrogatepass")


_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**400), 10**400),
        st.floats(),
        st.text(st.characters(), max_size=8),
        st.sampled_from(["s8", "u8-vnni", "rgb", files.SCHEMA, "edgedeploy.calibration/1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    """The document with a few of its values exchanged, removed or added."""
    document: Any = copy.deepcopy(_DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 3)):
                place = place[key]
                continue
            if draw(st.integers(0, 4)):
                place[key] = draw(_JSON)
            else:
                del place[key]
            break
    return json.dumps(document).encode()


@st.composite
def _archives(draw: st.DrawFn) -> bytes:
    """The archive damaged as bytes, or whole with other members."""
    if draw(st.booleans()):
        return draw(_edited(_PACKED))
    with zipfile.ZipFile(io.BytesIO(_PACKED)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = draw(st.sampled_from(sorted(members)))
    members[changed] = draw(_edited(members[changed]))
    kind = draw(
        st.sampled_from(
            [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
        )
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def _parse_and_render(data: bytes) -> None:
    try:
        cache = trt_cache.parse(data)
    except EdgeDeployError:
        return
    assert trt_cache.parse(trt_cache.render(cache)) == cache
    assert all(0 < scale < float("inf") for scale in cache.scales.values())


def _read_and_write(document: bytes, archive: bytes = _PACKED) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.json")
        path.write_bytes(document)
        path.with_suffix(".npz").write_bytes(archive)
        try:
            found = files.read(path)
        except EdgeDeployError:
            return
        files.write(found, path)
        assert is_same(files.read(path), found)


def _with_digest_of(archive: bytes) -> bytes:
    """The document as an attacker would write it, who wants the archive to be opened."""
    digest = hashlib.sha256(archive).hexdigest()
    return json.dumps({**_DOCUMENT, "arrays": {"sha256": digest}}).encode()


@FEW
@given(data=st.one_of(st.binary(), _edited(_CACHE), _caches()))
def test_no_cache_breaks_the_parser(data: bytes) -> None:
    _parse_and_render(data)


@pytest.mark.slow
@MANY
@given(data=st.one_of(st.binary(), _edited(_CACHE), _caches()))
def test_none_of_ten_thousand_caches_breaks_the_parser(data: bytes) -> None:
    _parse_and_render(data)


@FEW
@given(data=st.one_of(st.binary(), _edited(json.dumps(_DOCUMENT).encode()), _documents()))
def test_no_document_breaks_the_reader(data: bytes) -> None:
    _read_and_write(data)


@pytest.mark.slow
@MANY
@given(data=st.one_of(st.binary(), _edited(json.dumps(_DOCUMENT).encode()), _documents()))
def test_none_of_ten_thousand_documents_breaks_the_reader(data: bytes) -> None:
    _read_and_write(data)


@FEW
@given(data=_archives())
def test_no_archive_breaks_the_reader(data: bytes) -> None:
    _read_and_write(_with_digest_of(data), data)


@pytest.mark.slow
@MANY
@given(data=_archives())
def test_none_of_ten_thousand_archives_breaks_the_reader(data: bytes) -> None:
    _read_and_write(_with_digest_of(data), data)


@FEW
@given(data=_edited(_PACKED))
def test_a_damaged_archive_is_refused_by_its_digest(data: bytes) -> None:
    if data == _PACKED:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.json")
        path.write_text(json.dumps(_DOCUMENT))
        path.with_suffix(".npz").write_bytes(data)
        with pytest.raises(EdgeDeployError, match=hashlib.sha256(data).hexdigest()):
            files.read(path)
