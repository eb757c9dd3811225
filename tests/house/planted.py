"""Each rule of the house, broken once in a small tree: a check that finds nothing there checks nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import house

# check -> (file, what is appended to it; others that must be found as well)
PLANTED = {
    house.check_layers: ("core/src/base/planted.cpp", '#include "region/region.hpp"\n'),
    house.check_system_calls: ("core/src/format/planted.cpp", "#include <unistd.h>\n"),
    house.check_public_face: ("cli/planted.cpp", '#include "base/result.hpp"\n'),
    house.check_python_floors: (
        "python/onecopy/_memory/planted.py", "from ..api import share\n", "from .. import api\n",
        "import onecopy.api\n", "import onecopy\n", "from onecopy.api import share\n", "from onecopy import api\n",
        "from .._objects.array import extent\n", "if True:\n    from ..api import share\n",
        "class A:\n    from ..api import share\n", "import os, onecopy.api as above\n",
    ),
    house.check_sources_mk: ("core/src/base/planted.cpp", "\n"),
    house.check_line_length: ("cli/planted.cpp", "// " + "x" * 140 + "\n"),
    house.check_file_length: ("cli/planted.cpp", "\n" * 700),
    house.check_forbidden: ("docs/planted.md", "/wo" + "rk/main\n"),
    house.check_versions: ("core/include/onecopy/version.hpp", "#define ONECOPY_VERSION_MAJOR 7\n"),
    house.check_links: ("docs/planted.md", "[nowhere](no-such-file.md)\n"),
    house.check_shell: ("scripts/planted.sh", "if true; then\n"),
}


def planted_violations_are_found(root: Path) -> Iterator[tuple[str, str]]:
    """(what was tried, problem or "") for each check."""
    for check in house.CHECKS:
        what = f"a violation is found by {check.__name__}"
        if check not in PLANTED:
            yield what, "none is planted for it"
            continue
        name, *additions = PLANTED[check]
        for addition in additions:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder)
                for part in ("core", "cli"):
                    shutil.copytree(root / part, copy / part)
                shutil.copy(root / "CMakeLists.txt", copy)
                before = check(copy)
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                with open(copy / name, "a", encoding="utf-8") as file:
                    file.write(addition)
                yield what, "" if len(check(copy)) > len(before) else f"nothing was reported for {addition!r}"
