#!/usr/bin/env bash
# Builds everything that the tests and the demo run: the library, tool and C++ tests (build/release), the R package
# (build/r-library) and the Python package (build/venv). Builds again only what changed.
#
#   scripts/build.sh           all of it
#   scripts/build.sh --demo    without the C++ tests
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tests=ON
case "${1:-}" in
  "") ;;
  --demo) tests=OFF ;;
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) printf 'usage: scripts/build.sh [--demo]\n' >&2; exit 2 ;;
esac
jobs=${ONECOPY_JOBS:-$(nproc)}
launcher=$(command -v ccache || true)

build_cpp() {
  local build=build/release
  # The demo takes a build with tests as it is.
  if grep -qs '^ONECOPY_BUILD_TESTS:BOOL=ON' "$build/CMakeCache.txt" && [ -d tests/unit ]; then tests=ON; fi
  logged build/logs/cmake.log "cmake" cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DONECOPY_BUILD_CLI=ON -DONECOPY_BUILD_TESTS="$tests" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher"
  logged build/logs/cpp.log "compiling the library and the tool" ninja -C "$build" -j "$jobs"
}

# The newest change below the folders, as a string; links are followed, for the packages reach the core through one.
state_of() {
  find -L "$@" -type f ! -name '*.o' ! -name '*.so' ! -path '*/__pycache__/*' -printf '%p %s %T@\n' | sort | sha256sum
}

build_r() {
  local now stamp=build/r-library/.state copy=build/r-source file
  [ -d r ] || return 0
  now=$(state_of r)
  [ -d build/r-library/onecopy ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return 0
  step "building the R package"
  mkdir -p build/r-library "$copy"
  # R compiles in the source folder; a copy keeps that clean, and its object files make the next build quick.
  cp -RLu --preserve=timestamps r/. "$copy/"
  while IFS= read -r -d '' file; do
    [ -e "r/${file#"$copy"/}" ] || rm -f "$file"
  done < <(find "$copy" -type f ! -name '*.o' ! -name '*.so' -print0)
  # R's make rules know no headers.
  if [ -f "$stamp" ] && [ -n "$(find "$copy" -name '*.h*' -newer "$stamp" -print -quit)" ]; then
    find "$copy" -name '*.o' -delete
  fi
  if [ -n "$launcher" ]; then
    printf 'CXX = ccache g++\nCXX17 = ccache g++\nCXX20 = ccache g++\nCC = ccache gcc\n' >build/r-makevars
    export R_MAKEVARS_USER=$root/build/r-makevars
  fi
  MAKEFLAGS=-j$jobs logged build/logs/r.log "compiling the R package" \
    R CMD INSTALL --no-docs --no-multiarch --library=build/r-library "$copy"
  printf '%s\n' "$now" >"$stamp"
}

build_python() {
  local now stamp=build/venv/.onecopy-state
  [ -f python/pyproject.toml ] || return 0
  now=$(state_of python)
  [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return 0
  step "building the Python package"
  CMAKE_CXX_COMPILER_LAUNCHER=$launcher CMAKE_BUILD_PARALLEL_LEVEL=$jobs \
    logged build/logs/python.log "compiling the Python package" build/venv/bin/python -m pip install \
    --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall --config-settings=build-dir="$root/build/python" ./python
  printf '%s\n' "$now" >"$stamp"
}

step "building the library and the tool"
build_cpp
build_r
build_python
