"""Execute notebooks and keep their outputs, so that their pictures show where the code is hosted.

    python tests/keep_notebooks.py                  # all of them, minutes
    python tests/keep_notebooks.py 05_your_own      # those whose names begin so

What would differ from run to run or tells of a machine is left out: warnings, execution counts, times, paths.
tests/test_notebooks.py holds the numbers kept here against a new run.
"""

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent.parent / "notebooks"
#: What outputs may not hold: folders and addresses of a machine, and the address of an object in memory.
TRACES = re.compile(r"/(?:home|root|tmp|usr|work|Users)/|0x[0-9a-f]{6,}|https?://(?!arxiv|github)")
_KEPT_TYPES = ("image/png", "text/html", "text/plain")


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a folder, with the package of this repository; what it shows is in its outputs."""
    notebook = nbformat.read(path, as_version=4)
    paths = (str(path.parent.parent), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in paths if part)}
    NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute(env=environment)
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same notebook with what may be kept of its outputs."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in code_cells(notebook):
        cell.execution_count = None
        cell.metadata.pop("execution", None)
        cell.outputs = [_tidy_output(output) for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Its cells that hold code, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell prints and shows as text, output by output."""
    shown = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
    return ["".join(text) for text in shown]


def _tidy_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if "data" in output:
        output.data = {kind: output.data[kind] for kind in _KEPT_TYPES if kind in output.data}
        if "image/png" in output.data:
            output.data["text/plain"] = "<Figure>"  # its size in pixels depends on fonts
            output.data["image/png"] = _smaller(output.data["image/png"])
        output.metadata = {}
    if "execution_count" in output:
        output.execution_count = None
    return output


def _smaller(picture: str) -> str:
    """The same picture in 256 colors, as base64 text: a third of the bytes, and nothing but pixels."""
    small = io.BytesIO()
    opened = Image.open(io.BytesIO(base64.b64decode(picture)))
    opened.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def main(names: list[str]) -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem.startswith(tuple(names)):
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(tidy(execute(path, Path(folder))), path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
