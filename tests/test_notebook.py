"""The notebook for Colab: it runs to its end in a form for CPUs, and names nothing that is not there."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "colab.ipynb"
EPOCHS = 2
ON_A_CPU = """
REPOSITORY = ""
BACKEND = "tensorflow"
SOURCE = "sample"
ZIP = ""
SAMPLE_FLAGS = "--train=8 --val=3 --test=3 --isolated=3"
TILE_SIZE = 32
LOCAL = "{folder}/local"
RUNS = "{folder}/runs on drive"
EPOCHS = {epochs}
TRAIN_FLAGS = "--encoder=plain --filters=3 --batch=4 --precision=float32"
CHOSEN = "unet"
ISOLATED = True
"""


@pytest.fixture
def notebook() -> NotebookNode:
    """The notebook as committed."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a kernel of this interpreter, whose `python` is this one too; nothing of it outlives the test."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "this interpreter",
        "language": "python",
        "env": {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "CUDA_VISIBLE_DEVICES": "-1",
        },
    }
    folder = tmp_path / "jupyter" / "kernels" / "this-interpreter"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return folder.name


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell of a name."""
    return next(cell for cell in notebook.cells if cell.id == name)


def parameters(source: str) -> list[str]:
    """Names that a cell of parameters assigns, in order."""
    return re.findall(r"^([A-Z_]+) = ", source, re.MULTILINE)


def for_a_cpu(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook with another cell of parameters, and nothing else changed."""
    (found,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    source = ON_A_CPU.format(folder=folder, epochs=EPOCHS)
    assert parameters(source) == parameters(found.source)
    found.source = source
    return notebook


def execute(notebook: NotebookNode, kernel: str) -> None:
    """Runs all cells from the repository's root, as on Colab from the clone, and fails at the first that fails."""
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, kernel_name=kernel, timeout=300, resources=resources).execute()


def text_of(cell: NotebookNode) -> str:
    """What a cell has printed."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures_of(cell: NotebookNode) -> int:
    """How many PNG pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def statements(notebook: NotebookNode) -> Iterator[ast.stmt]:
    """Outermost statements of the code cells, magics turned into calls."""
    for found in notebook.cells:
        if found.cell_type == "code":
            yield from ast.parse(TransformerManager().transform_cell(found.source)).body


def commands(notebook: NotebookNode) -> Iterator[list[str]]:
    """Words of every shell command of the code cells; values that come from variables are {}."""
    for statement in statements(notebook):
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run":
                yield shlex.split(_text(node.args[0]))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) if isinstance(value, ast.Constant) else "{}" for value in node.values)
    assert isinstance(node, ast.Constant), "a command is written out where it is run"
    return str(node.value)


def flags_of(module: str, command: Command) -> set[str]:
    """Names of the flags that a command lists as its own."""
    result = command(module, "--help")
    assert result.returncode == 0, result.stderr
    return set(re.findall(r"^\s+-{1,2}(?:\[no\])?(\w+)", result.stdout, re.MULTILINE))


def test_the_notebook_runs_to_its_end_on_a_cpu_and_leaves_finished_and_scored_runs(
    notebook: NotebookNode, kernel: str, tmp_path: Path
) -> None:
    execute(for_a_cpu(notebook, tmp_path), kernel)
    runs = tmp_path / "runs on drive"
    for name in ("unet", "deeplabv3plus"):
        run = runs / name
        summary = json.loads((run / "summary.json").read_text())
        assert (summary["config"]["model"], summary["config"]["epochs"]) == (name, EPOCHS)
        assert json.loads((run / "evaluations" / "test.json").read_text())["tiles"] == 3
        assert f"{name}: {EPOCHS} epochs, finished" in text_of(cell(notebook, "resume"))
    isolated = json.loads((runs / "unet" / "evaluations" / "isolated.json").read_text())
    assert (isolated["tiles"], isolated["run_finished"]) == (3, True)
    for ledger in (runs / "unet", tmp_path / "local" / "sample" / "data" / "isolated"):
        (entry,) = next(iter(ledger.glob("*ledger.jsonl"))).read_text().splitlines()
        assert json.loads(entry)["weights_sha256"] == isolated["weights_sha256"]
    assert not (runs / "deeplabv3plus" / "evaluations" / "isolated.json").exists()
    assert "Keras on tensorflow" in text_of(cell(notebook, "device"))
    assert [pictures_of(cell(notebook, name)) for name in ("gallery", "isolated")] == [1, 1]
    assert (runs / "unet_exported" / "saved_model.pb").is_file()
    assert (tmp_path / "local" / "unet.zip").is_file()


def test_a_command_that_fails_stops_the_notebook(notebook: NotebookNode, kernel: str, tmp_path: Path) -> None:
    for_a_cpu(notebook, tmp_path)
    last = nbformat.v4.new_code_cell("run('exit 3')")
    notebook.cells = [cell(notebook, "parameters"), cell(notebook, "setup"), last]
    with pytest.raises(CellExecutionError, match="exit code 3: exit 3"):
        execute(notebook, kernel)


def test_every_command_of_the_notebook_knows_its_flags(notebook: NotebookNode, command: Command) -> None:
    ours = [words for words in commands(notebook) if "-m" in words]
    known = {module: flags_of(module, command) for module in {words[words.index("-m") + 1] for words in ours}}
    assert {
        "tfrecords_builder.download",
        "mmls_tf.train",
        "mmls_tf.evaluate",
        "mmls_tf.export",
    } <= known.keys()
    for words in ours:
        start = words.index("-m")
        for word in words[start + 2 :]:
            flag, _, value = word.removeprefix("--").partition("=")
            assert word == "{}" or flag in known[words[start + 1]] | {"flagfile"}, f"{words}: {word}"
            assert flag != "flagfile" or (ROOT / value).is_file(), f"{words}: {word}"
    prose = "\n".join(
        found.source for found in notebook.cells if found.cell_type == "markdown" or found.id == "parameters"
    )
    named = set(re.findall(r"(?<![\w-])--(\w+)", prose))
    assert {"resume", "context"} <= named
    assert named <= set().union(*known.values())


def test_every_module_page_and_cell_that_the_notebook_names_exists(notebook: NotebookNode) -> None:
    source = "\n".join(found.source for found in notebook.cells)
    modules = set(re.findall(r"\b(?:mmls_tf|tfrecords_builder)(?:\.[a-z_]+)+\b", source))
    assert "mmls_tf.doctor" in modules
    for module in modules:
        assert util.find_spec(module), module
    pages = set(re.findall(r"\b(?:docs|configs)/[\w.]+", source))
    assert pages >= {"docs/input.md", "configs/unet.flags"}
    for page in pages:
        assert (ROOT / page).is_file(), page
    titles = set(re.findall(r"^## (.+)$", source, re.MULTILINE))
    assert {"Tiles", "Records"} <= titles
    assert set(re.findall(r"leave out \*(\w+)\* and \*(\w+)\*", source)) == {("Tiles", "Records")}


def test_the_notebook_is_committed_without_outputs_and_knows_no_folder_but_colabs(
    notebook: NotebookNode,
) -> None:
    for found in notebook.cells:
        if found.cell_type == "code":
            assert found.outputs == []
            assert found.execution_count is None
    paths = re.findall(r"""["'](/\w[^"']*)["']""", "\n".join(found.source for found in notebook.cells))
    assert paths
    assert [path for path in paths if not path.startswith("/content/")] == []


def test_what_only_colab_has_is_used_on_colab_alone(notebook: NotebookNode) -> None:
    only_there = re.compile(r"google\.colab|apt-get|pip install|git clone|run_line_magic|files\.download")
    guarded = []
    for statement in statements(notebook):
        text = ast.unparse(statement)
        if only_there.search(text) and not text.startswith(("COLAB = ", "REPOSITORY = ")):
            assert isinstance(statement, ast.If) and ast.unparse(statement.test) == "COLAB", text
            guarded.append(text)
    assert len(guarded) == 4
