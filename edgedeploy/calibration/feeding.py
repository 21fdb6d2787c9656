"""Pictures as a network takes them, one at a time, as often as a stage asks for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.runtime.preprocessing import arrange, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.images import ImageEntry, ImageSet
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array

MOST_UNREADABLE = 0.05
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A set of pictures, a size and a rule: what a calibration runs a network on.

    Attributes:
        images: The pictures.
        side: Height and width to feed, in pixels.
        preprocessing: What the network was trained with.
        keep: Keep the pictures in memory, scaled and cut, after the first time.
        unreadable: By name, why a picture was left out; filled while the pictures are read.
        kept: By name, ``(1, height, width, 3)`` uint8; feeds of parts of the set share it.
    """

    images: ImageSet
    side: tuple[int, int]
    preprocessing: Preprocessing
    keep: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)

    def evenly(self, count: int) -> Feed:
        """Return a feed of ``count`` of the pictures, evenly spaced over the sorted list.

        What this feed has kept is not read again, and what it could not read is no news.
        """
        return replace(self, images=self.images.evenly(count))

    def batches(
        self, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Array]:
        """Yield every picture that can be read, ``(1, 3, H, W)`` float32, owned by the caller.

        Args:
            progress: Called with (pictures done, pictures in all) after each.

        Raises:
            FileError: More than `MOST_UNREADABLE` of the pictures cannot be read.
        """
        total = len(self.images.entries)
        names = [entry.name for entry in self.images.entries]
        if self.keep and all(name in self.kept or name in self.unreadable for name in names):
            for number, name in enumerate(names, start=1):
                if name in self.kept:
                    yield normalise(self.kept[name], self.preprocessing)
                progress(number, total)
            return
        done = count(1)

        def skip(entry: ImageEntry, error: FileError) -> None:
            place = f"{self.images.source / self.images.inside}/"
            known = entry.name in self.unreadable  # and was allowed, among all pictures
            self.unreadable[entry.name] = error.problem.removeprefix(place)
            if not known and len(self.unreadable) > MOST_UNREADABLE * total:
                raise _too_many(list(self.unreadable.values()), total) from error
            progress(next(done), total)

        for entry, frame in self.images.pictures(skip=skip):
            pixels = arrange(frame, self.side, self.preprocessing)
            if self.keep:
                self.kept[entry.name] = pixels
            yield normalise(pixels, self.preprocessing)
            progress(next(done), total)


def _too_many(problems: list[str], total: int) -> FileError:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return FileError(
        f"{len(problems)} of {total} images cannot be read, at most {MOST_UNREADABLE:.0%} may be: "
        f"{'; '.join(problems[:_SHOWN])}{more}",
        fix="remove them, or replace them with whole JPEG or PNG files",
    )
