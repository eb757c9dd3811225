"""Runs the code blocks of README.md and docs/*.md, file by file, in the order in which they stand.

A file has one R process, one Python process and one shell folder for all of its blocks, so a later block may use what an
earlier one made, also in another language. Every file gets an empty store. Blocks marked `text` are not run.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ONECOPY_BUILD", ROOT / "build/release")).resolve()
LIMIT = 120  # seconds a block may take

# Each reads paths from standard input, runs the file in one lasting environment, and answers with a line.
PYTHON_LOOP = """
import sys, traceback
import __main__
# Processes that a block spawns load this file, too.
for path in sys.stdin if __name__ == "__main__" else []:
    path = path.rstrip("\\n")
    try:
        exec(compile(open(path).read(), path, "exec"), __main__.__dict__)
        print("@@ok", flush=True)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        print("@@failed", flush=True)
"""
R_LOOP = """
input <- file("stdin", "r")
while (length(path <- readLines(input, 1L)) == 1L) {
  ok <- tryCatch({ source(path, local = globalenv(), print.eval = TRUE); TRUE },
                 error = function(e) { message(conditionMessage(e)); FALSE })
  cat(if (ok) "@@ok\\n" else "@@failed\\n")
  flush(stdout())
}
"""
CPP_HEAD = "#include <onecopy/onecopy.hpp>\n#include <iostream>\n#include <span>\n#include <vector>\n"


def blocks(path: Path) -> list[tuple[int, str, str]]:
    """(line, language, text) of each fenced block."""
    found = []
    language, start, lines = None, 0, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"^\s*```(.*)$", line)
        if fence and language is None:
            language, start, lines = fence[1].strip(), number, []
        elif fence:
            found.append((start, language, "\n".join(lines) + "\n"))
            language = None
        elif language is not None:
            lines.append(line)
    assert language is None, f"{path}: the block that begins in line {start} does not end"
    return found


class Loop:
    """An interpreter that runs one block after the other."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path):
        self.process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def run(self, path: Path) -> tuple[bool, str]:
        said = []
        try:
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
            while True:
                line = self.lines.get(timeout=LIMIT)
                if line is None:
                    return False, "\n".join([*said, f"the interpreter ended ({self.process.wait()})"])
                if line in ("@@ok", "@@failed"):
                    return line == "@@ok", "\n".join(said)
                said.append(line)
        except queue.Empty:
            self.process.kill()
            return False, "\n".join([*said, f"not done after {LIMIT} seconds"])
        except BrokenPipeError:
            return False, "the interpreter is gone"

    def end(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Runner:
    """Runs the blocks of one file."""

    def __init__(self, folder: Path, store: str):
        tool = Path(os.environ.get("ONECOPY_CLI", BUILD / "cli/onecopy")).resolve().parent
        python = os.environ.get("ONECOPY_PYTHON", sys.executable)
        self.folder = folder
        self.python = python
        self.environment = dict(os.environ, ONECOPY_DIR=store, PYTHONDONTWRITEBYTECODE="1",
                                PATH=f"{tool}:{Path(python).parent}:{os.environ['PATH']}")
        # The packages know their own; a program that was compiled a moment ago does not.
        if (BUILD / "pager/onecopy-pager").exists():
            self.environment.setdefault("ONECOPY_PAGER", str(BUILD / "pager/onecopy-pager"))
        self.loops: dict[str, Loop] = {}

    def loop(self, language: str) -> Loop:
        if language not in self.loops:
            script = self.folder / f"loop.{language}"
            script.write_text(R_LOOP if language == "r" else PYTHON_LOOP)
            command = ["Rscript", "--vanilla", script] if language == "r" else [self.python, script]
            self.loops[language] = Loop(command, self.environment, self.folder)
        return self.loops[language]

    def command(self, *arguments: str | Path) -> tuple[bool, str]:
        try:
            done = subprocess.run(arguments, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return False, f"not done after {LIMIT} seconds"
        return done.returncode == 0, done.stdout

    def run(self, language: str, text: str) -> tuple[bool, str]:
        path = self.folder / f"block.{language}"
        if language == "cpp":
            if "int main" not in text:
                includes = "".join(re.findall(r"(?m)^#include.*\n", text))
                text = CPP_HEAD + includes + "int main() {\n" + re.sub(r"(?m)^#include.*\n", "", text) + "}\n"
            path.write_text(text)
            compiler = [part for part in (shutil.which("ccache"), "c++") if part]
            built, said = self.command(*compiler, "-std=c++20", "-Wall", "-Wextra", f"-I{ROOT}/core/include", path,
                                       f"{BUILD}/core/libonecopy.a", "-pthread", "-o", self.folder / "block")
            return self.command(self.folder / "block") if built else (False, said)
        path.write_text(text)
        if language == "sh":
            return self.command("bash", "-euo", "pipefail", path)
        return self.loop(language).run(path)

    def end(self) -> None:
        for loop in self.loops.values():
            loop.end()


RUN = {"r": "r", "R": "r", "python": "python", "cpp": "cpp", "sh": "sh"}
NOT_RUN = {"text", "mermaid"}


def run_file(path: Path) -> tuple[int, int]:
    passed = failed = 0
    store = tempfile.mkdtemp(prefix="onecopy-docs-", dir="/dev/shm")
    folder = Path(tempfile.mkdtemp())
    runner = Runner(folder, store)
    try:
        for line, language, text in blocks(path):
            where = f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{line}"
            if language in NOT_RUN:
                continue
            if language not in RUN:
                ok, said = False, f"a block marked {language!r}: use one of {sorted(RUN)} or text"
            else:
                ok, said = runner.run(RUN[language], text)
            print(f"{'ok     ' if ok else 'FAILED '} {where} ({language})", flush=True)
            if not ok:
                print("\n".join("        " + line for line in said.splitlines()[-40:]))
            passed += ok
            failed += not ok
    finally:
        runner.end()
        shutil.rmtree(folder)
        shutil.rmtree(store)
    return passed, failed


def notices_failures() -> tuple[int, int]:
    """A block that fails, in each language, must be reported; so must one in a language that is not known."""
    bad = {"r": "stop('x')", "python": "assert False", "sh": "false", "cpp": "return 1;", "fortran": "x"}
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for language, text in bad.items():
            page = Path(folder) / f"{language}.md"
            page.write_text(f"```{language}\n{text}\n```\n")
            stdout, sys.stdout = sys.stdout, open(os.devnull, "w")
            try:
                result = run_file(page)
            finally:
                sys.stdout = stdout
            ok = result == (0, 1)
            print(f"{'ok     ' if ok else 'FAILED '} a failing {language} block is noticed")
            passed += ok
            failed += not ok
    return passed, failed


def main() -> int:
    pages = [Path(name) for name in sys.argv[1:]] or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    results = [run_file(page.resolve()) for page in pages] + [notices_failures()]
    passed, failed = (sum(counts) for counts in zip(*results))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
