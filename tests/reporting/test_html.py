"""The HTML report, read as a browser would read it."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import MissingDependencyError
from edgedeploy.optional import is_installed
from edgedeploy.reporting import html, page
from tests.reporting import reported
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not (is_installed("jinja2") and is_installed("vl_convert")), reason="needs the report extra"
)
GOLDEN = Path(__file__).parent / "golden" / "report.txt"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Every element with its attributes, parents and text; refuses what is not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.texts: list[list[str]] = []
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parents = [name for name, _ in self._open]
        self.elements.append((tag, {key: value or "" for key, value in attrs}, parents))
        self.texts.append([])
        if tag not in VOID:
            self._open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open = [(name, at) for name, at in self._open if at != len(self.elements) - 1]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, at in self._open:
            self.texts[at].append(data)

    def all(self, tag: str) -> Iterator[tuple[dict[str, str], str]]:
        for (name, attributes, _), text in zip(self.elements, self.texts, strict=True):
            if name == tag:
                yield attributes, " ".join("".join(text).split())

    def outline(self) -> list[str]:
        return [
            f"{tag} {' '.join(''.join(text).split())}"
            for (tag, _, _), text in zip(self.elements, self.texts, strict=True)
            if re.fullmatch(r"h\d|caption|summary|figure|article", tag)
            for text in ([""] if tag in {"figure", "article"} else text,)
        ]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return html.render(reported.everything(tmp_path_factory.mktemp("report")))


@pytest.fixture(scope="module")
def read(text: str) -> Page:
    return Page(text)


def test_the_outline_is_the_golden_one(read: Page) -> None:
    found = "\n".join(line.rstrip() for line in read.outline()) + "\n"
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_nothing_outside_the_file_is_asked_for(text: str, read: Page) -> None:
    for _, attributes, _ in read.elements:
        for name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
            assert name not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert not list(read.all("script"))
    assert not list(read.all("link"))
    assert "@import" not in text
    assert "url(" not in text
    assert set(re.findall(r"https?://[^\"<\s]*", text)) == {"http://www.w3.org/2000/svg"}
    (policy,) = [about for about, _ in read.all("meta") if about.get("http-equiv")]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_hostile_text_stays_text(text: str, read: Page) -> None:
    assert "<script" not in text
    assert not any(key.startswith("on") for _, about, _ in read.elements for key in about)
    named = [words for _, words in read.all("h3") if "alert('1')" in words]
    assert named
    assert all(" ".join(reported.HOSTILE.split()) in words for words in named)


def test_ids_are_unique_and_every_anchor_has_its_target(read: Page) -> None:
    ids = [about["id"] for _, about, _ in read.elements if "id" in about]
    assert len(ids) == len(set(ids))
    targets = {about["href"][1:] for about, _ in read.all("a")}
    named = {
        about["aria-labelledby"] for _, about, _ in read.elements if "aria-labelledby" in about
    }
    assert targets | named <= set(ids)


def test_headings_go_down_one_level_at_a_time(read: Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))


def test_there_are_landmarks_and_a_link_past_them(read: Page) -> None:
    tags = [tag for tag, _, _ in read.elements]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    first, words = next(read.all("a"))
    assert (first["href"], words) == ("#content", "Skip to the content")
    assert next(about for about, _ in read.all("html"))["lang"] == "en"


def test_every_chart_has_words_and_a_table_of_its_own(read: Page) -> None:
    figures = sum(tag == "figure" for tag, _, _ in read.elements)
    drawings = [about for about, _ in read.all("svg")]
    assert len(drawings) == figures > 20
    for about in drawings:
        assert about["role"] == "img"
        assert len(about["aria-label"]) > 20
    inside = [tag for tag, _, parents in read.elements if "figure" in parents]
    for tag in ("svg", "figcaption", "details", "summary", "table", "caption"):
        assert inside.count(tag) == figures


def test_cells_of_a_head_have_a_scope_and_rows_are_as_long_as_it(read: Page) -> None:
    assert all(about.get("scope") in ("col", "row") for about, _ in read.all("th"))
    widths: list[int] = []
    for tag, _, _ in read.elements:
        if tag == "table":
            widths.append(0)
            head = 0
        elif tag == "tr":
            head = widths[-1] if head == 0 else head
            assert widths[-1] == head
            widths[-1] = 0
        elif tag in ("th", "td"):
            widths[-1] += 1


def test_what_scrolls_can_be_reached_by_keyboard(read: Page) -> None:
    regions = [about for _, about, _ in read.elements if about.get("role") == "region"]
    assert len(regions) > 20
    assert all(about["tabindex"] == "0" and about["aria-label"] for about in regions)


def test_the_whole_verdict_stands_at_its_run(read: Page) -> None:
    reasons = [words for _, words in read.all("li")]
    assert reasons.count("other processes kept 1.5 of 2 CPUs busy") == 2
    assert reasons.count("the clock was throttled") == 2


def test_the_summary_counts_runs_and_verdicts(read: Page) -> None:
    words = [text for _, text in read.all("dd")]
    assert "12, the newest of 13 records" in words
    assert "9 measured, 2 suspect, 1 invalid" in words


def test_a_setting_of_one_run_is_named_and_not_compared(read: Page) -> None:
    compared = [words for _, words in read.all("h3") if words.startswith("Accuracy against")]
    usual = "single, batch 1, h2d+compute+d2h"
    assert compared == [f"Accuracy against latency: local (Intel N100), {usual}"]
    alone = [words for _, words in read.all("li")]
    assert f"jetson-orin-nano (Cortex-A78AE), power mode 15W, {usual}" in alone


def test_commands_are_those_of_the_records(read: Page) -> None:
    commands = [words for _, words in read.all("pre")]
    assert "edgedeploy profile 'build/my model/trt-fp16' --duration 7" in commands
    assert "trtexec --loadEngine=model.engine" in commands


@pytest.mark.parametrize("case", ["one", "bare", "one_call"])
def test_a_single_record_of_any_kind_makes_a_page(tmp_path: Path, case: str) -> None:
    makers = {"one": made, "bare": reported.bare, "one_call": reported.one_call}
    found = Page(html.render([makers[case](tmp_path)]))
    assert sum(tag == "article" for tag, _, _ in found.elements) == 1


@pytest.mark.parametrize("runs", [60, 200])
def test_the_dearest_runs_fit_the_limit(tmp_path: Path, runs: int) -> None:
    detail = page.detail_for(runs)
    sizes = [
        len(html.render([reported.full(tmp_path, model=f"m{i}") for i in range(n)], detail=detail))
        for n in (2, 3)
    ]
    assert sizes[0] + (runs - 2) * (sizes[1] - sizes[0]) < 5_000_000


def test_more_runs_than_that_keep_their_numbers_and_lose_their_charts(tmp_path: Path) -> None:
    detail = page.detail_for(201)
    found = Page(html.render([reported.full(tmp_path)], detail=detail))
    assert not list(found.all("svg"))
    assert detail.note in [words for _, words in found.all("p")]
    assert "Latency in ms, 900 calls, none left out" in [text for _, text in found.all("caption")]


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match="jinja2"):
        html.render([made(tmp_path)])


def test_device_memory_is_told_with_what_it_is(tmp_path: Path) -> None:
    rule = "what this process holds on the GPU (NVML)"
    told = made(tmp_path, memory_mb__device=312.4, memory_mb__device_rule=rule)
    assert page.run(told, 0, page.detail_for(1)).about["device memory"] == f"312.4 MB: {rule}"
    plain = page.run(made(tmp_path), 0, page.detail_for(1))
    assert "device memory" not in plain.about
    assert plain.missing["memory_mb.device"] == "it runs on the CPU"
