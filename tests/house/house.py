"""The rules of the house, as checks over the source tree.

Each check takes the root of a tree and returns the list of problems it found, one line each.
Run as a program it checks the project, then plants one violation of each rule in a copy and expects to be told.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = {".cpp", ".hpp", ".h", ".c", ".R", ".py", ".sh", ".cmake", ".mk"}
# Walls. What we aim at is less, and the report lists what is above that.
LONGEST_LINE, AIM_LINE = 140, 120
LONGEST_FILE, AIM_FILE = 600, 400


def files(root: Path) -> list[Path]:
    """What git tracks or would track, relative to the root; everything where there is no git."""
    command = ["git", "-C", root, "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode == 0:
        names = [Path(line) for line in listed.stdout.splitlines()]
    else:
        names = [path.relative_to(root) for path in root.rglob("*")]
    # Links lead to what is listed under its own name.
    return sorted(name for name in set(names) if (root / name).is_file() and not (root / name).is_symlink())


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def includes(path: Path) -> list[tuple[int, str, str]]:
    """(line, bracket, what) of every #include."""
    found = []
    for number, line in enumerate(text(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            found.append((number, match[1], match[2]))
    return found


def allowed_layers(root: Path) -> dict[str, set[str]]:
    """From the table in core/README.md: layer -> every layer that it may include, itself among them."""
    direct: dict[str, set[str]] = {}
    for line in text(root / "core/README.md").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            direct[cells[0].strip("`")] = set(re.findall(r"`(\w+)`", cells[2]))

    def reach(layer: str) -> set[str]:
        return {layer}.union(*(reach(below) for below in direct.get(layer, set())))

    return {layer: reach(layer) for layer in direct}


def check_layers(root: Path) -> list[str]:
    """core/src/<layer> includes only layers that core/README.md allows it; nothing but std in public headers."""
    allowed = allowed_layers(root)
    problems = [] if allowed else ["core/README.md: the table of layers was not found"]
    for name in files(root):
        if name.parts[:2] == ("core", "src") and name.suffix in {".cpp", ".hpp", ".h"}:
            layer = name.parts[2]
            if layer not in allowed:
                problems.append(f"{name}: the layer {layer} is not in core/README.md")
                continue
            for line, bracket, what in includes(root / name):
                if bracket == "<" or what.startswith("onecopy/"):
                    continue
                if "/" not in what or what.split("/")[0] not in allowed[layer]:
                    problems.append(f'{name}:{line}: {layer} may not include "{what}"')
        if name.parts[:2] == ("core", "include"):
            for line, bracket, what in includes(root / name):
                if (bracket == '"' and not what.startswith("onecopy/")) or (bracket == "<" and "/" in what):
                    problems.append(f"{name}:{line}: a public header may not include {what}")
    return problems


SYSTEM_HEADER = re.compile(r"^(sys/.*|linux/.*|unistd\.h|poll\.h|sched\.h|dirent\.h|asm/.*)$")
# <fcntl.h> and <sys/stat.h> have the flags that the functions of os/ take; what they declare must not be called.
FLAGS_HEADER = {"fcntl.h", "sys/stat.h"}
CALL = re.compile(
    r"(?<![\w.:>])(?:::)?(?:openat|creat|fcntl|fallocate|fstat|fstatat|lstat|fchmod|mkdirat?|mkfifo|umask|utimensat|"
    r"futimens|posix_fallocate)\(|(?<![\w>])::(?:open|stat|chmod|read|write|close|mmap|munmap)\("
)


def check_system_calls(root: Path) -> list[str]:
    """System calls are made in core/src/os only."""
    problems = []
    for name in files(root):
        if name.parts[:2] != ("core", "src") or name.parts[2] == "os":
            continue
        for line, bracket, what in includes(root / name):
            if bracket == "<" and SYSTEM_HEADER.match(what) and what not in FLAGS_HEADER:
                problems.append(f"{name}:{line}: <{what}> belongs into core/src/os")
        for number, line in enumerate(text(root / name).splitlines(), 1):
            if not line.lstrip().startswith("//") and CALL.search(line):
                problems.append(f"{name}:{number}: a system call: {line.strip()}")
    return problems


def check_public_face(root: Path) -> list[str]:
    """The tool and the packages use the core's public headers only."""
    layers = {path.name for path in (root / "core/src").iterdir() if path.is_dir()}
    problems = []
    for name in files(root):
        if name.parts[0] not in {"cli", "r", "python"} or name.suffix not in {".cpp", ".hpp", ".h", ".c"}:
            continue
        if "core" in name.parts[:3]:
            continue
        for line, _, what in includes(root / name):
            first = what.split("/")[0]
            bases = (root / name.parent, root / "cli", root / "r/src", root / "python/src")
            if first == "onecopy" and (root / "core/include" / what).exists():
                continue
            if "core/src" not in what and any((base / what).exists() for base in bases):
                continue
            if "core/src" in what or (first in layers and (root / "core/src" / what).exists()):
                problems.append(f"{name}:{line}: {what} is not one of the core's public headers")
    return problems


# What each folder of the Python package imports at the top of its files, beside errors, copies and the compiled part.
# Pickles and reprs need what lies above them: that is imported in the function that does.
PYTHON_FLOORS: dict[str, set[str]] = {
    "_memory": set(),
    "_records": {"_memory"},
    "_objects": {"_memory"},
    "_lazy": {"_memory", "_objects"},
    "_hosts": {"_memory", "_objects", "sync"},
}


def imported_at_once(node: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, full name) of what a file of the package imports before any of its functions is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) + 1 - child.level] if child.level else ()
            whole = ".".join((*base, *([child.module] if child.module else [])))
            yield from ((child.lineno, f"{whole}.{alias.name}") for alias in child.names)
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imported_at_once(child, package)


def check_python_floors(root: Path) -> list[str]:
    """python/onecopy/<folder> imports only the folders below it."""
    problems = []
    for name in files(root):
        if name.parts[:2] != ("python", "onecopy") or len(name.parts) != 4 or name.suffix != ".py":
            continue
        folder = name.parts[2]
        allowed = PYTHON_FLOORS.get(folder, set()) | {folder, "_core", "_given", "copies", "errors"}
        for line, what in imported_at_once(ast.parse(text(root / name)), name.parts[1:3]):
            parts = what.split(".")
            if parts[0] == "onecopy" and (len(parts) == 1 or parts[1] not in allowed or folder not in PYTHON_FLOORS):
                problems.append(f"{name}:{line}: {folder} may not import {what}")
    return problems


def check_sources_mk(root: Path) -> list[str]:
    """core/sources.mk lists exactly the .cpp files of core/src, each once."""
    listed = re.findall(r"src/[\w/]+\.cpp", text(root / "core/sources.mk"))
    sources = [name for name in files(root) if name.parts[:2] == ("core", "src") and name.suffix == ".cpp"]
    there = {str(name.relative_to("core")) for name in sources}
    twice = {name for name in listed if listed.count(name) > 1}
    problems = [f"core/sources.mk: {name} is not in the tree" for name in sorted(set(listed) - there)]
    problems += [f"core/sources.mk: {name} is missing" for name in sorted(there - set(listed))]
    problems += [f"core/sources.mk: {name} is listed twice" for name in sorted(twice)]
    return problems


def long_lines(root: Path, limit: int) -> list[str]:
    problems = []
    for name in files(root):
        if name.suffix not in SOURCE and name.name not in {"CMakeLists.txt", "run"}:
            continue
        for number, line in enumerate(text(root / name).splitlines(), 1):
            if len(line) > limit:
                problems.append(f"{name}:{number}: {len(line)} characters")
    return problems


def check_line_length(root: Path) -> list[str]:
    """No line of code has more than 140 characters."""
    return long_lines(root, LONGEST_LINE)


def lengths(root: Path) -> list[tuple[int, Path]]:
    code = [name for name in files(root) if name.suffix in SOURCE]
    return sorted(((len(text(root / name).splitlines()), name) for name in code), reverse=True)


def check_file_length(root: Path) -> list[str]:
    """No file of code has more than 600 lines."""
    return [f"{name}: {count} lines" for count, name in lengths(root) if count > LONGEST_FILE]


# In pieces, so that this file does not contain what it looks for.
FORBIDDEN = [
    (re.compile("/(?:wo" + r"rk|ro" + r"ot)/[a-z]"), "a path of somebody's machine"),
    (re.compile(r"\b(?:py" + r"pi|python" + r"hosted|debian|crates|npmjs|golang|maven)\.(?:org|io|com)\b"),
     "a registry's host"),
    (re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"), "work left undone"),
]


def check_forbidden(root: Path) -> list[str]:
    """No machine's paths, no registries' hosts, no notes of undone work."""
    problems = []
    for name in files(root):
        if name.suffix in {".gz", ".rds", ".rda", ".png", ".onecopy", ".bin"} or name.parts[:2] == ("fuzz", "corpus"):
            continue
        for number, line in enumerate(text(root / name).splitlines(), 1):
            for pattern, what in FORBIDDEN:
                if pattern.search(line):
                    problems.append(f"{name}:{number}: {what}: {line.strip()[:100]}")
    return problems


def check_versions(root: Path) -> list[str]:
    """One version: version.hpp, CMake, and the R package's DESCRIPTION."""
    header = text(root / "core/include/onecopy/version.hpp")
    wanted = re.search(r'ONECOPY_VERSION "([^"]+)"', header)[1]
    numbers = re.findall(r"ONECOPY_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    found = {"core/include/onecopy/version.hpp (the numbers)": ".".join(numbers)}
    places = {"CMakeLists.txt": r"project\(onecopy VERSION ([\d.]+)", "r/DESCRIPTION": r"(?m)^Version: (\S+)"}
    for name, pattern in places.items():
        if (root / name).exists():
            match = re.search(pattern, text(root / name))
            found[name] = match[1] if match else "none"
    return [f"{name}: version {version}, not {wanted}" for name, version in found.items() if version != wanted]


def check_links(root: Path) -> list[str]:
    """Links between the documents lead somewhere."""
    problems = []
    for name in files(root):
        if name.suffix != ".md":
            continue
        for number, line in enumerate(text(root / name).splitlines(), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                target = target.split("#")[0]
                if target and "://" not in target and not target.startswith("mailto:"):
                    if not (root / name.parent / target).exists():
                        problems.append(f"{name}:{number}: {target} does not exist")
    return problems


def check_shell(root: Path) -> list[str]:
    """Every shell script parses."""
    problems = []
    for name in files(root):
        if name.suffix == ".sh" or name == Path(".ci/run"):
            parsed = subprocess.run(["bash", "-n", root / name], capture_output=True, text=True)
            if parsed.returncode != 0:
                problems.append(f"{name}: {parsed.stderr.strip()}")
    return problems


CHECKS = [
    check_layers,
    check_system_calls,
    check_public_face,
    check_python_floors,
    check_sources_mk,
    check_line_length,
    check_file_length,
    check_forbidden,
    check_versions,
    check_links,
    check_shell,
]


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    from planted import planted_violations_are_found  # beside this file

    passed = failed = 0
    for check in CHECKS:
        problems = check(root)
        print(("FAILED  " if problems else "ok      ") + check.__doc__)
        for problem in problems[:30]:
            print("        " + problem)
        failed += bool(problems)
        passed += not problems
    for what, problem in planted_violations_are_found(root):
        print(("FAILED  " if problem else "ok      ") + what + (": " + problem if problem else ""))
        failed += bool(problem)
        passed += not problem
    wide = long_lines(root, AIM_LINE)
    print(f"report  {len(wide)} lines have more than {AIM_LINE} characters" + "".join(f"\n        {w}" for w in wide))
    long = [(count, name) for count, name in lengths(root) if count > AIM_FILE]
    print(f"report  {len(long)} files have more than {AIM_FILE} lines" + "".join(f"\n        {c} {n}" for c, n in long))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
