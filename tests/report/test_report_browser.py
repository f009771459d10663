"""Pages in a real browser, where one is installed: every picture is drawn, nothing is wider than the window, all is short."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from msda_analysis.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
LARGEST, HIGHEST = 1_000_000, 3_200  # bytes; pixels, before anything is opened: this study has three of ten sections
LOOK = """<script>addEventListener("load", async () => {
const folded = document.documentElement.scrollHeight;
for (const one of document.querySelectorAll("details")) one.open = true;
await Promise.all([...document.images].map(image => image.decode()));
document.title = JSON.stringify({
  pictures: document.images.length, drawn: [...document.images].filter(image => image.naturalWidth > 0).length,
  folded, wider: document.documentElement.scrollWidth - innerWidth, width: innerWidth, requests: performance.getEntriesByType("resource")
    .filter(one => !one.name.startsWith("data:")).length,
}); });</script></body>"""


@pytest.fixture(scope="module")
def page(study_maker, tmp_path_factory) -> Path:
    return write_report(study_maker(2).write(tmp_path_factory.mktemp("study"), "vae", "masks"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1200, 500])
def test_every_picture_is_drawn_nothing_is_wider_than_the_window_and_the_page_is_short(page, tmp_path, width):
    assert page.stat().st_size < LARGEST
    looked_at = tmp_path / "report.html"
    looked_at.write_text(page.read_text().replace("</body>", LOOK))
    size = (f"--window-size={width},900", "--virtual-time-budget=20000", "--dump-dom", looked_at.as_uri())
    seen = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}", *size],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (title,) = re.findall(r"<title>(.*?)</title>", seen.stdout)
    found = json.loads(title.replace("&gt;", ">"))
    assert found["drawn"] == found["pictures"] > 5 and found["requests"] == 0
    assert found["wider"] <= 0, found
    assert width < 1200 or found["folded"] < HIGHEST, found
