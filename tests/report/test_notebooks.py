"""Notebooks: they hold no outputs, read results only, and run, with a study and without one."""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

from poserep.overrides import CONF
from poserep.report.run_sheets import run_rows, runs_csv
from poserep.runs.rundir import load_results

NOTEBOOKS = sorted((CONF.parent / "notebooks").glob("*.ipynb"))
ABOUT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What trains, evaluates or sends anything anywhere.
MAKERS = r"poserep\.(training|sweeps|deploy|runs\.(create|launch|wandb))\b"


class ThisPython(AsyncKernelManager):
    """A kernel of the interpreter that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


@pytest.fixture
def study(copied):
    """Run directories of two representations, one of them with two seeds."""
    copied("heatmap", "heatmap")
    copied("simcc", "simcc-s0")
    return copied("simcc", "simcc-s1", seed=1).parent


def execute(notebook: nbformat.NotebookNode, environment: dict[str, str]) -> dict[str, nbformat.NotebookNode]:
    """Run a notebook's cells, as a session in its folder would: the cells by id."""
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        # Ports may be taken by others between being found and being used; sockets in a folder of one's own may not.
        kernel = ThisPython(transport="ipc", ip=f"{short}/socket")
        folder = {"metadata": {"path": str(NOTEBOOKS[0].parent)}}
        client = NotebookClient(notebook, timeout=300, km=kernel, resources=folder)
        with pytest.MonkeyPatch.context() as patch:
            for key, value in {**environment, "JUPYTER_RUNTIME_DIR": short, "OMP_NUM_THREADS": "1"}.items():
                patch.setenv(key, value)
            client.execute(cleanup_kc=True)
    return {cell.id: cell for cell in notebook.cells}


def again(cells: list[nbformat.NotebookNode], prefix: str, study: Path) -> list[nbformat.NotebookNode]:
    """The code below a notebook's first cell once more, for another study; a kernel takes seconds to start."""
    _, *code = (cell for cell in cells if cell.cell_type == "code")
    copies = [nbformat.v4.new_code_cell(cell.source, id=f"{prefix}-{cell.id}") for cell in code]
    return [nbformat.v4.new_code_cell(f"STUDY, SIZE = Path({str(study)!r}), None", id=prefix), *copies]


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    return {kind for output in cell.outputs for kind in output.get("data", ())}


def said(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of all files below a folder."""
    return {f: (f.stat().st_size, f.stat().st_mtime_ns) for f in folder.rglob("*") if f.is_file()}


def test_notebooks_are_stripped_tell_nothing_of_a_machine_and_import_nothing_that_makes_results():
    assert [path.stem for path in NOTEBOOKS] == ["compare", "errors", "representations"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.items() <= ABOUT.items()
        for cell in notebook.cells:
            assert not cell.metadata and not cell.get("outputs") and cell.get("execution_count") is None
            assert re.fullmatch("[a-z]+(-[a-z]+)*", cell.id), "names that somebody gave, which stay as they are"
            assert cell.cell_type != "code" or not re.search(MAKERS, cell.source), path
        assert path.read_text() == nbformat.writes(notebook) + "\n", "as Jupyter writes it: saving changes nothing"


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_show_what_they_announce(path, study, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    cells = list(notebook.cells)
    if "load" in [cell.id for cell in cells]:
        table = tmp_path / "table.csv"
        table.write_text(runs_csv(run_rows(load_results(study))))
        notebook.cells += again(cells, "table", table) + again(cells, "none", tmp_path / "none")
    before = files(study), files(path.parent)
    own = {key: str(tmp_path / key) for key in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR")}
    found = execute(notebook, {"POSEREP_STUDY": str(study), **own})
    assert (files(study), files(path.parent)) == before
    announced = [cell.id for cell in cells if cell.id.endswith(("figure", "table")) and cell.cell_type == "code"]
    for one in announced:
        assert ("image/png" if one.endswith("figure") else "text/html") in kinds(found[one]), one
    assert len(announced) >= 4
    if "load" in found:
        assert said(found["load"]) == f"{study}: 3 finished runs at 64x64\n" and not found["stand-in"].outputs
        instead = found["table-stand-in"]
        assert "make demo" in said(instead) and "table.csv stands in" in said(instead)
        assert "SimCC Gaussian" in str(instead.outputs) and "text/html" in kinds(instead)
        assert "0 finished runs" in said(found["none-load"]) and "make demo" in said(found["none-stand-in"])
        for one in announced:
            assert not kinds(found[f"table-{one}"]) | kinds(found[f"none-{one}"]), "nothing to show, and no error"
