#!/usr/bin/env bash
# pip wheel; then the wheel in a clean environment that has neither compiler nor build tools, and the package's tests
# there. And the source distribution: whether it has everything that its build names.
set -uo pipefail
source tests/support/suite.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${ONECOPY_PYTHON:?the Python whose environment has the requirements of the tests}
launcher=$(command -v ccache || true)
purelib() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
packages=$(purelib "$python")

# In the folder where scripts/build.sh built: only what changed since is compiled again.
builds() {
  CMAKE_CXX_COMPILER_LAUNCHER=$launcher "$python" -m pip wheel --disable-pip-version-check --no-build-isolation \
    --no-deps --config-settings=build-dir="$(realpath "$(dirname "$ONECOPY_BUILD")")/python" --wheel-dir "$work/wheels" ./python &&
    [ "$(find "$work/wheels" -name 'onecopy-*.whl' | wc -l)" -eq 1 ]
}

# Modules, stubs and the programs; nothing of the sources, the tests or another build.
holds_the_package() {
  "$python" - "$work"/wheels/onecopy-*.whl <<'END'
import pathlib, stat, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
held = {n for n in wheel.namelist() if ".dist-info/" not in n}
wanted = {f"onecopy/{p.relative_to('python/onecopy')}" for p in pathlib.Path("python/onecopy").rglob("*")
          if p.suffix in (".py", ".pyi") or p.name == "py.typed"}
compiled = {n for n in held if n.startswith("onecopy/_core.") and n.endswith(".so")}
assert len(compiled) == 1, compiled
assert held - compiled == wanted | {"onecopy/onecopy-pager"}, held ^ wanted
assert wheel.getinfo("onecopy/onecopy-pager").external_attr >> 16 & stat.S_IXUSR, "the pager is not executable"
END
}

# Everything that the machine's PATH has but compilers and what drives them: what an ordinary computer of a user has.
machine_without_compilers() {
  mkdir -p "$work/bin" || return 1
  local folder
  for folder in /usr/local/bin /usr/bin /bin /usr/sbin /sbin; do
    [ -d "$folder" ] && find "$folder" -maxdepth 1 \( -type f -o -type l \) -exec ln -sf -t "$work/bin" {} +
  done
  local names='g\+\+|gcc|c\+\+|cc|cpp|clang|clang\+\+|c89|c99|ld|as|cmake|ninja|make|gmake|ccache|pip.*|pytest'
  find "$work/bin" -regextype posix-extended -regex ".*/(.*-)?($names)(-[0-9.]+)?" -delete
  local tool
  for tool in c++ g++ gcc cc clang cmake ninja make; do
    if clean command -v "$tool"; then echo "$tool is still there"; return 1; fi
  done
}

clean() { env -u PYTHONPATH PATH="$work/bin" CC=/bin/false CXX=/bin/false bash -c '"$@"' - "$@"; }

# Only what the wheel requires, and its libraries; from the tests' environment, so that no network is needed.
installs() {
  "$python" -m venv --without-pip "$work/clean" || return 1
  ln -s "$packages"/numpy "$packages"/numpy.libs "$packages"/numpy-*.dist-info \
    "$packages"/cloudpickle "$packages"/cloudpickle-*.dist-info "$(purelib "$work/clean/bin/python")/" || return 1
  clean "$python" -m pip --python "$work/clean/bin/python" install --disable-pip-version-check --no-index \
    "$work"/wheels/onecopy-*.whl
}

works_with_what_it_requires() {
  (cd "$work" && clean "$work/clean/bin/python" - "$work/clean") <<'END'
import importlib.util, multiprocessing, os, pathlib, pickle, sys
for name in ("pandas", "pyarrow", "polars", "distributed", "tqdm"):
    assert importlib.util.find_spec(name) is None, name
import numpy as np, onecopy
assert pathlib.Path(onecopy.__file__).is_relative_to(sys.argv[1]), onecopy.__file__

x = onecopy.share({"x": np.arange(1e5), "names": ["a", "b", None], "nested": (1, 2.5, b"raw")}, name="from a wheel")
y = pickle.loads(pickle.dumps(x))
assert onecopy.is_shared(y["x"]) and y["x"].sum() == np.arange(1e5).sum() and y["names"] == ["a", "b", None]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(np.sum, [x["x"]] * 2) == [x["x"].sum()] * 2

@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    door: onecopy.Lock

foo = Foo.shared("foo of a wheel")
with foo.door:
    foo.bar += 7
assert Foo.shared("foo of a wheel").bar == 7
lazy = onecopy.lazy_sequence(0.0, 1.0, size=1_000_000)  # the pager that the wheel carries
assert lazy.sum() == 1_000_000 * 999_999 / 2
def squares(start, end, out):
    out[:] = np.arange(start, end) ** 2.0
assert onecopy.lazy("f8", 1_000_000, squares)[1000] == 1e6  # a function of a script
assert all(check["state"] for check in onecopy.doctor())
END
}

# The tests' libraries are those of the tests' environment; onecopy is the wheel's.
passes_the_tests() {
  echo "$packages" >"$(purelib "$work/clean/bin/python")/libraries-of-the-tests.pth"
  mkdir -p "$work/python" "$work/store" || return 1
  cp -r python/tests python/pyproject.toml "$work/python/" && cp -r examples "$work/" || return 1
  (cd "$work/python/tests" && clean "$work/clean/bin/python" - <<'END'
import onecopy, sys
assert onecopy.__file__.startswith(sys.prefix), onecopy.__file__
END
  ) || return 1
  (cd "$work/python/tests" && ONECOPY_DIR=$work/store clean env -u ONECOPY_BUILD -u ONECOPY_PAGER \
    "$work/clean/bin/python" -m pytest -q --ignore=test_style.py -x -p no:cacheprovider -c ../pyproject.toml --rootdir=. .)
}

source_distribution_is_whole() {
  (cd python && "$python" -c "
import scikit_build_core.build as build
print(build.build_sdist('$work/sdist'))") || return 1
  mkdir "$work/unpacked" && tar -xzf "$work"/sdist/onecopy-*.tar.gz -C "$work/unpacked" --strip-components=1 || return 1
  [ ! -L "$work/unpacked/core" ] && [ ! -e "$work/unpacked/build" ] || return 1
  # CMake names the source files that are missing.
  cmake -S "$work/unpacked" -B "$work/configured" -G Ninja -DPython_EXECUTABLE="$python" \
    -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" &&
    diff -r core/include "$work/unpacked/core/include"
}

check "pip wheel" builds
check "the wheel has the package, its stubs and the pager, and nothing else" holds_the_package
check "a machine without compilers" machine_without_compilers
check "it installs into a clean environment" installs
check "it works with what it requires alone" works_with_what_it_requires
check "the package's tests pass from there" passes_the_tests
check "the source distribution is whole" source_distribution_is_whole
finish
