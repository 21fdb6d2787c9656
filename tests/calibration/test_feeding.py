from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgedeploy.calibration.feeding import Feed
from edgedeploy.errors import FileError
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)


def _feed(folder: Path, count: int, broken: int = 0) -> Feed:
    for number in range(count):
        path = folder / f"{number:03}.png"
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
        if number < broken:
            path.write_bytes(path.read_bytes()[:50])
    return Feed(images=open_images(folder), side=(16, 16), preprocessing=RULE)


def test_every_picture_is_fed_alone_and_as_often_as_asked(tmp_path: Path) -> None:
    feed = _feed(tmp_path, 3)
    first, second = (np.concatenate(list(feed.batches())) for _ in range(2))
    assert first.shape == (3, 3, 16, 16)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[:, 0, 0, 0], (np.arange(3) - 127.5) / 127.5, rtol=1e-6)


def test_one_of_twenty_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    feed = _feed(tmp_path, 20, broken=1)
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        assert len(list(feed.batches(lambda done, total: seen.append((done, total))))) == 19
    assert seen == [(i, 20) for i in range(1, 21)] * 2
    ((name, problem),) = feed.unreadable.items()
    assert name == "000.png"
    assert problem.startswith("000.png is not a picture that can be read: ")


def test_more_than_one_of_twenty_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    feed = _feed(tmp_path, 100, broken=7)
    with pytest.raises(
        FileError,
        match=r"^6 of 100 images cannot be read, at most 5% may be: 000\.png is not .*; "
        r"001\.png .*; 002\.png .*; and 3 more\n",
    ):
        list(feed.batches())


def _kept(folder: Path, count: int, broken: int = 0) -> Feed:
    return replace(_feed(folder, count, broken), keep=True)


def test_kept_pictures_are_fed_again_though_the_files_are_gone(tmp_path: Path) -> None:
    feed = _kept(tmp_path, 3)
    first = np.concatenate(list(feed.batches()))
    for path in tmp_path.iterdir():
        path.unlink()
    np.testing.assert_array_equal(np.concatenate(list(feed.batches())), first)


def test_kept_pictures_are_not_changed_by_whoever_is_fed(tmp_path: Path) -> None:
    feed = _kept(tmp_path, 2)
    first = [batch.copy() for batch in feed.batches()]
    for batch in feed.batches():
        batch[:] = 0
    np.testing.assert_array_equal(np.concatenate(list(feed.batches())), np.concatenate(first))


def test_a_feed_that_was_left_half_way_begins_again(tmp_path: Path) -> None:
    feed = _kept(tmp_path, 5)
    half = feed.batches()
    next(half)
    next(half)
    del half
    whole = np.concatenate(list(feed.batches()))
    np.testing.assert_allclose(whole[:, 0, 0, 0], (np.arange(5) - 127.5) / 127.5, rtol=1e-6)


def test_a_kept_feed_names_what_it_left_out_once_and_its_progress_ends_at_the_total(
    tmp_path: Path,
) -> None:
    feed = _kept(tmp_path, 20, broken=1)
    for _ in range(3):
        seen: list[tuple[int, int]] = []
        batches = list(feed.batches(lambda done, total, seen=seen: seen.append((done, total))))  # type: ignore[misc]
        assert len(batches) == 19
        assert seen == sorted(seen)
        assert seen[-1] == (20, 20)
        assert list(feed.unreadable) == ["000.png"]


def test_a_part_is_not_refused_for_what_the_whole_was_allowed(tmp_path: Path) -> None:
    feed = _feed(tmp_path, 40, broken=2)
    assert len(list(feed.batches())) == 38
    part = replace(feed.evenly(2), images=replace(feed.images, entries=feed.images.entries[:4]))
    assert len(list(part.batches())) == 2
    assert len(feed.unreadable) == 2
    with pytest.raises(FileError, match="1 of 4 images cannot be read"):
        list(replace(part, unreadable={}).batches())


def test_a_part_is_fed_from_what_the_whole_has_kept(tmp_path: Path) -> None:
    feed = _kept(tmp_path, 6)
    whole = np.concatenate(list(feed.batches()))
    for path in tmp_path.iterdir():
        path.unlink()
    seen: list[tuple[int, int]] = []
    part = feed.evenly(3)
    found = np.concatenate(list(part.batches(lambda done, total: seen.append((done, total)))))
    positions = [int(entry.name.removesuffix(".png")) for entry in part.images.entries]
    np.testing.assert_array_equal(found, whole[positions])
    assert seen == [(1, 3), (2, 3), (3, 3)]
