from __future__ import annotations

import contextlib
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgedeploy import images
from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def encoded(
    mode: str = "RGB", color: Any = (10, 20, 30), form: str = "PNG", **options: Any
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (6, 4), color).save(buffer, form, **options)
    return buffer.getvalue()


PNG = encoded()


def write_zip(path: Path, entries: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def write_folder(path: Path, names: list[str]) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(PNG)
    return path


NAMES = ["cat/b.png", "cat/a.jpg", "ant/c.PNG"]


@pytest.mark.parametrize("packed", [False, True])
def test_class_folders_are_numbered_in_sorted_order(tmp_path: Path, packed: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    if packed:
        source = write_zip(tmp_path / "d.zip", dict.fromkeys([*NAMES, "notes.txt"], PNG))
    else:
        source = write_folder(tmp_path / "d", [*NAMES, "notes.txt"])
    found = images.open_images(source)
    assert [(e.name, e.label) for e in found.entries] == [
        ("ant/c.PNG", 0), ("cat/a.jpg", 1), ("cat/b.png", 1),
    ]  # fmt: skip
    assert found.classes == {0: "ant", 1: "cat"}
    assert found.labels == (0, 1, 1)
    frames = [frame for _, frame in found.pictures()]
    assert all((frame == (10, 20, 30)).all() and frame.shape == (4, 6, 3) for frame in frames)


def test_folders_whose_names_are_numbers_are_these_classes(tmp_path: Path) -> None:
    found = images.open_images(write_folder(tmp_path, ["007/a.png", "010/b.png"]))
    assert found.labels == (7, 10)
    assert found.classes == {7: "007", 10: "010"}


def test_two_folders_for_one_class_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, ["1/a.png", "01/b.png"])
    with pytest.raises(FileError, match="two folders for class 1: '01', '1'"):
        images.open_images(tmp_path)


def test_a_folder_inside_a_zip_is_a_set(tmp_path: Path) -> None:
    archive = write_zip(
        tmp_path / "d.zip", {"train/0/a.png": b"", "test/0/b.png": PNG, "test/1/c.png": PNG}
    )
    found = images.open_images(archive / "test")
    assert [entry.name for entry in found.entries] == ["0/b.png", "1/c.png"]
    assert len(list(found.pictures())) == 2
    hidden = write_zip(tmp_path / "h.zip", {".x/0/a.png": PNG, "x/0/b.png": PNG})
    assert [e.name for e in images.open_images(hidden / ".x").entries] == ["0/a.png"]


def test_entry_names_are_taken_as_they_stand_in_the_zip(tmp_path: Path) -> None:
    found = images.open_images(write_zip(tmp_path / "d.zip", {"./0/a.png": PNG, "1//b.png": PNG}))
    assert len(list(found.pictures())) == 2
    assert found.labels == (0, 1)


def test_what_macos_leaves_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    names = ["0/a.png", "0/._a.png", "__MACOSX/0/._a.png", ".thumbs/a.png"]
    found = images.open_images(write_zip(tmp_path / "d.zip", dict.fromkeys(names, PNG)))
    assert [entry.name for entry in found.entries] == ["0/a.png"]


def test_the_digest_follows_names_and_contents_but_not_the_packing(tmp_path: Path) -> None:
    folder = images.open_images(write_folder(tmp_path / "d", NAMES)).digest()
    packed = write_zip(tmp_path / "d.zip", dict.fromkeys(NAMES, PNG))
    assert images.open_images(packed).digest() == folder
    other = write_zip(tmp_path / "e.zip", dict.fromkeys(NAMES, encoded(color=(1, 2, 3))))
    assert images.open_images(other).digest() != folder


# --- choosing ------------------------------------------------------------------------------------


@pytest.fixture
def ten(tmp_path: Path) -> images.ImageSet:
    return images.open_images(write_folder(tmp_path / "ten", [f"{i}/x.png" for i in range(10)]))


def kept(chosen: images.ImageSet) -> list[int]:
    return list(chosen.labels)


def test_samples_are_evenly_spaced(ten: images.ImageSet) -> None:
    assert kept(ten.evenly(4)) == [0, 2, 5, 7]
    assert ten.evenly(10) is ten
    assert ten.evenly(99) is ten
    with pytest.raises(UsageError, match="0 images were asked for"):
        ten.evenly(0)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("i%5<2", [0, 1, 5, 6]),
        ("i % 5 >= 2 and not i == 3", [2, 4, 7, 8, 9]),
        ("-i < -7 or i//2 == 1", [2, 3, 8, 9]),
    ],
)
def test_every_keeps_the_positions_for_which_the_rule_holds(
    ten: images.ImageSet, rule: str, wanted: list[int]
) -> None:
    assert kept(ten.every(rule)) == wanted


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "j<2",
        "i<2.5",
        "i**9",
        "__import__('os')",
        "i.real",
        "[i]",
        "(i",
        "i<'a'",
        "i\0",
        "i<True",
    ],
)
def test_every_takes_integer_arithmetic_only(ten: images.ImageSet, rule: str) -> None:
    with pytest.raises(UsageError, match="is not arithmetic over the position i"):
        ten.every(rule)


def test_rules_that_keep_nothing_or_divide_by_zero_are_refused(ten: images.ImageSet) -> None:
    with pytest.raises(UsageError, match="keeps none of 10 images"):
        ten.every("i>99")
    with pytest.raises(UsageError, match=r"cannot be computed: .*zero"):
        ten.every("i%0")


# --- bad sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "..\\evil.png"]
)
def test_a_zip_with_an_entry_outside_is_refused_whole(tmp_path: Path, name: str) -> None:
    archive = write_zip(tmp_path / "d.zip", {"0/a.png": PNG, name: PNG})
    with pytest.raises(FileError, match="has an entry that points outside"):
        images.open_images(archive)


def test_sources_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"empty has no pictures in it \(0 files\)"):
        images.open_images(tmp_path / "empty")
    archive = write_zip(tmp_path / "d.zip", {"0/a.png": PNG, "0/b.txt": b""})
    with pytest.raises(FileError, match=r"d.zip/test has no pictures in it"):
        images.open_images(archive / "test")
    with pytest.raises(FileError, match=r"there is no .*absent"):
        images.open_images(tmp_path / "absent")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + b"\xff" * 18, PNG])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(FileError, match=r"d.zip is not a zip that can be read"):
        images.open_images(tmp_path / "d.zip")


def test_a_set_without_class_folders_has_no_labels(tmp_path: Path) -> None:
    found = images.open_images(write_folder(tmp_path, ["a.png", "0/b.png"]))
    with pytest.raises(FileError, match=r"has no class folders: 0/b.png lies at the top|a.png"):
        _ = found.labels


def test_a_picture_that_vanished_is_named(tmp_path: Path) -> None:
    found = images.open_images(write_folder(tmp_path, ["0/a.png"]))
    (tmp_path / "0" / "a.png").unlink()
    with pytest.raises(FileError, match=r"0/a.png is not a picture that can be read"):
        list(found.pictures())


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_that_cannot_be_read_are_told_to_skip_and_left_out(
    tmp_path: Path,
    packed: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    if packed:
        source = write_zip(tmp_path / "d.zip", {"0/a.png": PNG, "1/b.png": b"", "1/c.png": PNG})
    else:
        source = write_folder(tmp_path / "d", ["0/a.png", "1/b.png", "1/c.png"])
        (source / "1" / "b.png").write_bytes(b"")
    told: list[str] = []
    found = images.open_images(source).pictures(skip=lambda entry, _: told.append(entry.name))
    assert [entry.name for entry, _ in found] == ["0/a.png", "1/c.png"]
    assert told == ["1/b.png"]


def test_contents_that_cannot_be_read_are_part_of_the_digest(tmp_path: Path) -> None:
    found = images.open_images(write_folder(tmp_path, ["0/a.png", "0/b.png"]))
    whole = found.digest()
    (tmp_path / "0" / "a.png").unlink()
    broken = found.digest()
    assert broken == found.digest() != whole


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_zip_gives_pictures_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    path = write_zip(folder / "d.zip", {"0/a.png": PNG, "1/b.png": PNG})
    data = bytearray(path.read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(FileError):
        for _, frame in images.open_images(path).pictures():
            assert frame.shape[2] == 3


def test_an_entry_that_unpacks_to_a_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_LARGEST_BYTES", 1000)
    archive = write_zip(tmp_path / "d.zip", {"0/a.png": b"\0" * 100_000})
    with pytest.raises(FileError, match="it unpacks to 100000 bytes"):
        list(images.open_images(archive).pictures())


# --- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (encoded("L", 77), (77, 77, 77)),
        (encoded("LA", (77, 0)), (77, 77, 77)),
        (encoded("1", 1), (255, 255, 255)),
        (encoded("RGBA", (10, 20, 30, 0)), (10, 20, 30)),
        (encoded("P", 0, transparency=b"\0\xff"), (0, 0, 0)),
        (encoded("I;16", 200 * 256 + 5), (200, 200, 200)),
        (encoded("CMYK", (255, 0, 255, 0), "TIFF"), (0, 255, 0)),
        (encoded(form="BMP"), (10, 20, 30)),
        (encoded(form="WEBP", lossless=True), (10, 20, 30)),
        (encoded(form="PPM"), (10, 20, 30)),
        (encoded("RGB", (10, 20, 30), "GIF"), (10, 20, 30)),
    ],
    ids=[
        "grey",
        "grey+alpha",
        "1 bit",
        "RGBA",
        "palette",
        "16 bit",
        "CMYK",
        "BMP",
        "WebP",
        "PPM",
        "GIF",
    ],
)
def test_pictures_of_any_mode_become_rgb(data: bytes, wanted: tuple[int, int, int]) -> None:
    frame = images.decode(data, name="x")
    assert frame.dtype == np.uint8
    assert frame.shape == (4, 6, 3)
    assert (frame == wanted).all()


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    frame = images.decode(encoded("CMYK", (0, 255, 255, 0), "JPEG"), name="x")
    assert np.abs(frame.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF", PNG[:40], PNG[:-28], encoded(form="JPEG")[:300], b"%!PS-Adobe-3.0 EPSF-3.0\n"],
    ids=["empty", "short", "cut header", "cut end", "cut JPEG", "PostScript"],
)
def test_bytes_that_are_no_whole_picture_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(FileError, match=r"cat.jpg is not a picture that can be read(?s:.*)fix: "):
        images.decode(data, name="cat.jpg")


def test_a_picture_too_large_to_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(FileError, match="is not a picture that can be read"):
        images.decode(PNG, name="x")


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
)
@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_damaged_pictures_decode_or_give_one_error(
    form: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(encoded(form=form))
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(FileError):
        assert images.decode(bytes(data), name="x").ndim == 3


def test_one_picture_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert images.read_image(tmp_path / "a.png").shape == (4, 6, 3)
    with pytest.raises(FileError, match=r"b\.png cannot be read: No such file"):
        images.read_image(tmp_path / "b.png")
