"""Notebooks run from top to bottom in an empty folder; their own assertions hold, and they show what they promise."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.runs import ROOT

SHOWN = {
    "tou_experiment": ("evening_peak", "sampling", "must be more than 0", "application/vnd.plotly.v1+json"),
    "meter_life": (
        "command_1_disconnect",
        "clock ahead s",
        "executed",
        "without supply",
        "not_served_kwh",
        "application/vnd.plotly.v1+json",
    ),
}
"""What the outputs of each hold."""
FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_every_notebook_is_run():
    assert [path.stem for path in FILES] == sorted(SHOWN)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_promises(path: Path, tmp_path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "clear its outputs"
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(
        notebook,
        timeout=800,  # where no kernel has been compiled yet, on a loaded machine
        kernel_name="python3",
        resources=place,
    ).execute()
    shown = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert [words for words in SHOWN[path.stem] if words not in shown] == []
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "report.html").exists()
