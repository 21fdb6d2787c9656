"""The report as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import edgedeploy
from edgedeploy.optional import needs
from edgedeploy.reporting import commands, heat_map, notes, page, palette, pareto, table
from edgedeploy.reporting.settings import by_setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.figures import Figure
    from edgedeploy.reporting.page import Detail, Run
    from edgedeploy.reporting.table import Row


def render(records: Sequence[ProfileRecord], *, detail: Detail | None = None) -> str:
    """Return the whole page of the newest record of each model, backend, precision and setting.

    Args:
        records: At least one; older ones of the same kind are counted and left out.
        detail: How much is drawn of each run; None: by their number.

    Raises:
        MissingDependencyError: Jinja2 or vl-convert is not installed.
    """
    with needs("jinja2", extra="report"):
        import jinja2
    pairs = table.with_records(records)
    rows, shown = [row for row, _ in pairs], [record for _, record in pairs]
    detail = detail or page.detail_for(len(shown))
    runs = [page.run(record, index, detail) for index, record in enumerate(shown)]
    templates = resources.files(edgedeploy) / "reporting" / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    columns = table.columns(rows)
    return template.render(
        version=edgedeploy.__version__,
        light=palette.LIGHT,
        dark=palette.DARK,
        summary=page.summary(shown, read=len(records)),
        lines=_lines(rows, runs),
        titles=[(column.title, column.is_number) for column in columns],
        verdict_at=[column.attribute for column in columns].index("verdict"),
        notes=[*notes.dashes(rows, columns), *notes.remarks(rows)],
        figures=list(_overview(shown)),
        alone=_alone(shown),
        runs=runs,
        detail=detail,
        environments=page.environments(shown),
        commands=commands.of(shown),
    )


def _lines(rows: Sequence[Row], runs: Sequence[Run]) -> list[tuple[Run, list[str | None]]]:
    """Return the cells of each row of the table of all runs, beside the run."""
    columns = table.columns(rows)
    return [
        (run, [column.write(row) for column in columns])
        for row, run in zip(rows, runs, strict=True)
    ]


def _overview(records: Sequence[ProfileRecord]) -> Iterator[Figure]:
    """Yield the charts of each setting that has several runs: one alone compares with nothing."""
    for setting, comparable in by_setting(records).items():
        for chart in (pareto.chart, heat_map.chart) if len(comparable) > 1 else ():
            figure = chart(comparable, setting)
            if figure is not None:
                yield figure


def _alone(records: Sequence[ProfileRecord]) -> list[str]:
    """Return the settings of a single run each, where there are several settings."""
    found = by_setting(records)
    return [setting.words for setting, runs in found.items() if len(runs) == 1 < len(found)]
