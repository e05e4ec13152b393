"""The shape of the tree: what may import what, and which names a file may bear."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

STAGES = ("convert", "preprocess", "infer", "metrics", "reports")
MAY_IMPORT = {
    "src": set(),
    "convert": {"convert", "preprocess"},
    "preprocess": {"preprocess"},
    "infer": {"infer", "preprocess", "convert"},
    "metrics": {"metrics", "infer", "preprocess", "convert"},
    "reports": set(STAGES),
}
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxruntime",
    "onnxslim",
    "sklearn",
    "tensorrt",
    "aclruntime",
    "openvino",
    "cv2",
    "matplotlib",
    "pycocotools",
    "jiwer",
    "sacrebleu",
    "seqeval",
    "transformers",
}
#: The command contract names this file; nothing imports it, and it leaves its own folder off the
#: path before it imports anything.
CONTRACT_NAMES = {"html"}
MAIN = 'if __name__ == "__main__":'


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    """(stage or ``src``, file) of every Python file of the product."""
    for top in ("src", *STAGES):
        for path in sorted((root / top).rglob("*.py")):
            yield top, path


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_imports_point_in_one_direction(root: Path) -> None:
    wrong = []
    for top, path in sources(root):
        for name, line in imports_of(ast.parse(path.read_text())):
            parts = name.split(".")
            if (
                parts[0] == "portproof"
                and len(parts) > 1
                and parts[1] in STAGES
                and parts[1] not in MAY_IMPORT[top]
            ):
                wrong.append(f"{path.relative_to(root)}:{line} imports {name}")
            if parts[0] in STAGES:
                wrong.append(f"{path.relative_to(root)}:{line} imports {name} without 'portproof.'")
    assert not wrong


def command_files(root: Path) -> list[Path]:
    folders = [root / "src/portproof/commands", *(root / stage for stage in STAGES)]
    return [
        path
        for folder in folders
        for path in sorted(folder.glob("*.py"))
        if path.name != "__init__.py"
    ]


def test_commands_and_nothing_else_stand_at_the_top_of_a_stage(root: Path) -> None:
    assert not [
        str(path.relative_to(root)) for path in command_files(root) if MAIN not in path.read_text()
    ]
    simulated = root / "src/portproof/rehearsal/programs"
    runnable = {
        path for _, path in sources(root) if MAIN in path.read_text() and path.parent != simulated
    }
    assert runnable == {*command_files(root), root / "src/portproof/__main__.py"}


#: Rooms whose files are all of one kind, found by name: a list of them, however long, is easy to
#: read. The top of a stage holds its commands and nothing else.
LISTS = {"reports", "reports/claims/rules", "metrics/tasks", "metrics/postprocess"}


def test_a_room_has_about_a_dozen_files(root: Path) -> None:
    rooms = {path.parent for _, path in sources(root)}
    full = {
        str(room.relative_to(root)): len(
            [p for p in room.glob("*.py") if not p.name.startswith("__")]
        )
        for room in rooms
    }
    assert not {room: count for room, count in full.items() if count > 12 and room not in LISTS}


ENDINGS = (
    "isons",
    "ison",
    "ations",
    "ation",
    "ings",
    "ing",
    "ions",
    "ion",
    "ers",
    "er",
    "ed",
    "es",
)


def stem(word: str) -> str:
    """A word without what grammar adds: compare, compared and comparison are one."""
    for ending in (*ENDINGS, "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


#: Rooms whose files bear the words that users write in their YAML files.
USERS_WORDS = {"metrics/postprocess"}


def test_no_two_modules_differ_by_grammar_alone(root: Path) -> None:
    names = {
        path.stem
        for _, path in sources(root)
        if path.name != "__init__.py" and str(path.parent.relative_to(root)) not in USERS_WORDS
    }
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault("_".join(map(stem, name.split("_"))), set()).add(name)
    assert not [sorted(several) for several in alike.values() if len(several) > 1]


OF_A_RUN_DIRECTORY = re.compile(
    r"\b(compare\.json|perf\.json|card\.json|result\.json|outcomes\.csv|model\.onnx|prep\.info)\b"
)


def test_names_of_a_run_directory_are_spelled_in_one_place(root: Path) -> None:
    rooms = ("src/portproof/rundir", "src/portproof/proof", "reports/port", "reports/evidence")
    wrong = []
    for path in (path for room in rooms for path in (root / room).rglob("*.py")):
        tree = ast.parse(path.read_text())
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        wrong += [
            f"{path.relative_to(root)}:{node.lineno} {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documents
            and OF_A_RUN_DIRECTORY.search(node.value)
            and path != root / "src/portproof/rundir/layout.py"
        ]
    assert not wrong


def test_a_runnable_stage_file_is_imported_by_nobody(root: Path) -> None:
    runnable = {
        "portproof."
        + ".".join(p.relative_to(root).with_suffix("").parts).removeprefix("src.portproof.")
        for p in command_files(root)
    }
    wrong = [
        f"{path.relative_to(root)}:{line} imports {name}"
        for _, path in sources(root)
        for name, line in imports_of(ast.parse(path.read_text()))
        if name in runnable or name.rpartition(".")[0] in runnable
    ]
    assert runnable
    assert not wrong


def test_heavy_packages_are_imported_where_they_are_used(root: Path) -> None:
    wrong = []
    for _, path in sources(root):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                wrong += [
                    f"{path.relative_to(root)}:{line} {name}"
                    for name, line in imports_of(node)
                    if name.split(".")[0] in HEAVY
                ]
    assert not wrong


def test_stage_files_bear_no_name_of_another_module(root: Path) -> None:
    installed = {
        name for name in importlib.metadata.packages_distributions() if not name.startswith("_")
    }
    taken = set(sys.stdlib_module_names) | installed | HEAVY
    wrong = [
        str(p.relative_to(root))
        for top, p in sources(root)
        if top != "src" and p.stem != "__init__" and p.stem in taken - CONTRACT_NAMES
    ]
    assert not wrong


def test_files_and_functions_stay_short(root: Path) -> None:
    long = []
    for _, path in sources(root):
        text = path.read_text()
        if text.count("\n") > 300:
            long.append(f"{path.relative_to(root)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 60:
                long.append(f"{path.relative_to(root)}:{node.lineno} {node.name}")
    assert not long


FORBIDDEN_CALLS = {"eval", "exec"}


def test_nothing_dangerous_is_called(root: Path) -> None:
    wrong = []
    for _, path in sources(root):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            where = f"{path.relative_to(root)}:{node.lineno}"
            if (
                name in FORBIDDEN_CALLS
                or keywords.get("shell") == "True"
                or name in ("yaml.load", "yaml.unsafe_load", "pickle.load", "pickle.loads")
            ):
                wrong.append(f"{where} {name}")
            if name == "torch.load" and keywords.get("weights_only") != "True":
                wrong.append(f"{where} torch.load without weights_only=True")
            if (
                name in ("np.load", "numpy.load")
                and keywords.get("allow_pickle", "False") != "False"
            ):
                wrong.append(f"{where} np.load with pickles")
    assert not wrong


@pytest.mark.parametrize(
    "script",
    [p for p in command_files(Path(__file__).resolve().parents[2]) if p.parent.name in STAGES],
    ids=lambda p: p.stem,
)
def test_help_is_instant_and_shows_an_example(script: Path) -> None:
    """``--help`` imports nothing outside the standard library: that is what makes it instant
    (timing it here would be noise).
    """
    probe = (
        "import sys, runpy\nsys.argv = [sys.argv[1], '--help']\nsys.path[0] = ''\ntry:"
        " runpy.run_path(sys.argv[0], run_name='__main__')\nexcept SystemExit as stop: assert not"
        " stop.code, stop.code\nthird = sorted({n.split('.')[0] for n, m in sys.modules.items() if"
        " 'site-packages' in (getattr(m, '__file__', None) or '')})\nprint('THIRD', third)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe, str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "example:" in done.stdout
    assert "THIRD []" in done.stdout
