"""The report in headless Chromium: nothing overflows the page, on a desk and on a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from edgedeploy.optional import is_installed
from edgedeploy.reporting import html
from tests.reporting import reported

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not is_installed("vl_convert"), reason="needs the report extra"),
]
LOOK = """<!DOCTYPE html><body style="margin:0">
<iframe id="page" src="report.html" style="border:0;width:WIDTHpx;height:3000px"></iframe>
<pre id="seen"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  for (const details of page.querySelectorAll("details")) details.open = true;
  const inside = node => node.closest(".scroll, .drawing, .skip");
  const wide = [...page.querySelectorAll("body *")].filter(
    node => !inside(node) && node.getBoundingClientRect().right > WIDTH + 1);
  const style = frame.contentWindow.getComputedStyle(page.body);
  const text = page.querySelector("svg text");
  const box = page.querySelector("svg").getBoundingClientRect();
  document.getElementById("seen").textContent = JSON.stringify({
    width: root.scrollWidth, wide: wide.map(node => node.tagName + "." + node.className),
    paper: style.backgroundColor, ink: frame.contentWindow.getComputedStyle(text).fill,
    drawn: [box.width, box.height]});
};
</script>"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_the_page(tmp_path: Path, width: int, theme: str) -> None:
    assert CHROMIUM is not None
    text = html.render(reported.everything(tmp_path))
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    look = tmp_path / "look.html"
    look.write_text(LOOK.replace("WIDTH", str(width)), encoding="utf-8")
    argv = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        "--hide-scrollbars",
        *("--allow-file-access-from-files", "--virtual-time-budget=5000"),
        f"--blink-settings=preferredColorScheme={int(theme == 'light')}",
        *(f"--user-data-dir={tmp_path / 'profile'}", look.as_uri()),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(found[1])
    assert seen["width"] == width
    assert seen["wide"] == []
    assert min(seen["drawn"]) > 100
    dark, light = "rgb(18, 22, 27)", "rgb(255, 255, 255)"
    assert seen["paper"] == (light if theme == "light" else dark)
    assert seen["ink"] not in ("none", seen["paper"], "rgb(0, 0, 0)")
