"""The package is clean for mypy's strict mode and for ruff, and its stubs name what the compiled part has."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import onecopy
from onecopy import _core

HERE = Path(__file__).resolve().parent
CONFIGURATION = HERE.parent / "pyproject.toml"
PACKAGE = Path(onecopy.__file__).parent


def run(*command: str, **options: object) -> None:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    run("mypy", "--strict", f"--config-file={CONFIGURATION}", f"--cache-dir={tmp_path}", "-p", "onecopy", cwd=tmp_path)


def test_ruff() -> None:
    pytest.importorskip("ruff", reason="ruff is not installed")
    run("ruff", "check", "--no-cache", f"--config={CONFIGURATION}", str(PACKAGE), str(HERE))


def test_the_stubs_name_what_there_is() -> None:
    """Both ways: a forgotten stub makes the package untyped there, one too many promises what fails."""
    tree = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    stubs: dict[str, set[str]] = {"": set()}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            stubs[""].add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            stubs[""].add(node.target.id)
        if isinstance(node, ast.ClassDef):
            stubs[node.name] = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    assert stubs[""] == {name for name in vars(_core) if not name.startswith("_")}
    for name, written in stubs.items():
        kind = getattr(_core, name, None)
        if isinstance(kind, type):
            there = {method for method in vars(kind) if not method.startswith("_")}
            assert {method for method in written if not method.startswith("_")} == there, name
    assert (PACKAGE / "py.typed").exists()
