"""Every notebook is kept with its pictures and nothing of a machine, runs from top to bottom, and gives the numbers kept."""

import base64
import importlib.util
import io
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

_SPEC = importlib.util.spec_from_file_location("keep_notebooks", Path(__file__).with_name("keep_notebooks.py"))
keep = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(keep)

NOTEBOOKS = sorted(keep.FOLDER.glob("*.ipynb"))
SMALL = [path for path in NOTEBOOKS if "MSDA_SMOKE" in path.read_text()]  # have smaller settings for the tests
KEPT = [path for path in NOTEBOOKS if '"image/png"' in path.read_text()]
QUICK = [path for path in KEPT if path not in SMALL]
LARGEST = 500_000  # bytes
_NUMBER = re.compile(r"(?<![\w.])[-+\N{MINUS SIGN}]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w])")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Several tests run side by side, and threads that wait for each other's processors take minutes for seconds."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def numbers_of(text: str) -> list[float]:
    return [float(found.replace("\N{MINUS SIGN}", "-")) for found in _NUMBER.findall(text)]


def assert_agrees(kept, fresh, *, relative: float, absolute: float) -> None:
    """As many numbers in each output, each about the same; another processor rounds in another way, and training adds that up."""
    for old, new in zip(keep.code_cells(kept), keep.code_cells(fresh), strict=True):
        for before, after in zip(keep.texts(old), keep.texts(new), strict=True):
            assert numbers_of(after) == pytest.approx(numbers_of(before), rel=relative, abs=absolute), old.source


def test_notebooks_are_found():
    assert {"01_masks", "05_your_own"} <= {path.stem for path in QUICK}
    assert {"02_mutual_information", "03_robustness"} <= {path.stem for path in SMALL}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_kept_whole_or_without_outputs_and_without_traces(path):
    notebook = nbformat.read(path, as_version=4)
    cells = keep.code_cells(notebook)
    shown = [output for cell in cells for output in cell.outputs]
    assert bool(shown) == (path in KEPT), f"run tests/keep_notebooks.py {path.stem}"
    assert path.stat().st_size < LARGEST
    assert not any(output.get("name") == "stderr" or output.output_type == "error" for output in shown)
    for cell in cells:
        assert cell.execution_count is None
        for forbidden in ("sys.path", "!pip", "%pip", "/home/", "/root/"):
            assert forbidden not in cell.source
    told = [text for output in shown for kind, text in _words_of(output) if kind != "image/png"]
    assert not [found.group() for text in told for found in keep.TRACES.finditer(text)]


def _words_of(output):
    data = {"text": output.get("text", ""), **output.get("data", {})}
    return [(kind, "".join(text)) for kind, text in data.items()]


def test_own_things_are_short():
    cells = keep.code_cells(nbformat.read(keep.FOLDER / "05_your_own.ipynb", as_version=4))
    assert max(len([line for line in cell.source.splitlines() if line.strip()]) for cell in cells) < 15


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path not in QUICK], ids=lambda path: path.name)
def test_notebook_runs_at_small_size(path, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "MSDA_SMOKE", "1")  # smaller settings, same code
    assert_quiet(keep.execute(path, tmp_path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.name)
def test_notebook_gives_the_numbers_kept(path, tmp_path):
    fresh = keep.execute(path, tmp_path)
    assert_quiet(fresh)
    assert_agrees(nbformat.read(path, as_version=4), keep.tidy(fresh), relative=0.1, absolute=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", [path for path in KEPT if path in SMALL], ids=lambda path: path.name)
def test_notebook_gives_the_numbers_kept_at_full_size(path, tmp_path):
    fresh = keep.execute(path, tmp_path)
    assert_agrees(nbformat.read(path, as_version=4), keep.tidy(fresh), relative=0.2, absolute=0.2)


def assert_quiet(notebook) -> None:
    """It shows something, and no warning."""
    shown = [output for cell in keep.code_cells(notebook) for output in cell.outputs]
    assert shown and [output.text for output in shown if output.get("name") == "stderr"] == []


def test_numbers_that_moved_are_noticed():
    def notebook(text):
        output = nbformat.v4.new_output("execute_result", {"text/plain": text})
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])

    kept = notebook("accuracy 0.91 [0.88, 0.94]\nn 200")
    assert_agrees(kept, notebook("accuracy 0.92 [0.89, 0.95]\nn 200"), relative=0.1, absolute=0.02)
    for other in (
        "accuracy 0.71 [0.88, 0.94]\nn 200",
        "accuracy 0.91 [0.88, 0.94]",
        "accuracy -0.91 [0.88, 0.94]\nn 200",
    ):
        with pytest.raises(AssertionError):
            assert_agrees(kept, notebook(other), relative=0.1, absolute=0.02)


def test_what_tells_of_a_machine_is_not_kept():
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}, "made_on": "/home/someone"}
    )
    warning = nbformat.v4.new_output("stream", name="stderr", text="/home/someone/lib.py: a warning")
    drawn = io.BytesIO()
    note = PngInfo()
    note.add_text("Source", "/home/someone/drawing.py")
    Image.effect_noise((60, 40), 80).convert("RGB").save(drawn, "PNG", pnginfo=note)
    picture = base64.b64encode(drawn.getvalue()).decode()
    picture = nbformat.v4.new_output("display_data", {"image/png": picture, "text/plain": "<Figure size 690x210>"})
    made.cells = [nbformat.v4.new_code_cell("x", outputs=[warning, picture], execution_count=3)]
    made.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-11-26T13:00:00"}
    (cell,) = keep.tidy(made).cells
    (output,) = cell.outputs
    kept = base64.b64decode(output.data["image/png"])
    assert output.data["text/plain"] == "<Figure>" and b"someone" in drawn.getvalue() and b"someone" not in kept
    pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float) for png in (kept, drawn.getvalue())]
    assert np.abs(pixels[0] - pixels[1]).max() <= 4 and len(kept) < len(drawn.getvalue())
    assert cell.metadata == {} and cell.execution_count is None and "made_on" not in made.metadata
