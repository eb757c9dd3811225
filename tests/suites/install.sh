#!/usr/bin/env bash
# cmake --install, then a program of somebody else built against the installed library: with find_package and with
# pkg-config, from where it was installed and after the tree was moved.
set -uo pipefail
source tests/support/suite.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
launcher=$(command -v ccache || true)

installed() { cmake --install "$ONECOPY_BUILD" --prefix "$work/first"; }

headers_complete() { diff -r core/include/onecopy "$work/first/include/onecopy"; }

by_cmake() {  # by_cmake PREFIX BUILD
  cmake -S examples/cpp-consumer -B "$2" -DCMAKE_PREFIX_PATH="$1" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" &&
    cmake --build "$2"
}

by_pkg_config() {  # by_pkg_config PREFIX BUILD
  local pc
  mkdir -p "$2"
  pc=$(dirname "$(find "$1" -name onecopy.pc)") || return 1
  # Word splitting is wanted: pkg-config prints several flags.
  # shellcheck disable=SC2046
  c++ -std=c++20 -O1 examples/cpp-consumer/main.cpp -o "$2/consumer" \
    $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs onecopy)
}

# Two processes of that program: one shares, the other attaches and sums.
shares_and_attaches() {  # shares_and_attaches BUILD
  local handle sum pid
  mkfifo "$1/in" "$1/out"
  "$1/consumer" <"$1/in" >"$1/out" &
  pid=$!
  exec 3>"$1/in" 4<"$1/out"
  read -r handle <&4
  sum=$("$1/consumer" "$handle")
  echo "handle $handle, sum $sum"
  exec 3>&- 4<&-
  wait "$pid" && [ "$sum" = 10 ]
}

says_why_on_bad_handle() {  # says_why_on_bad_handle BUILD
  local message status
  message=$("$1/consumer" not-a-handle 2>&1) && status=0 || status=$?
  echo "$message"
  [ "$status" -eq 1 ] && grep -q 'onecopy:1:' <<<"$message"
}

version_agrees() {
  local here there
  here=$(sed -n 's/.*ONECOPY_VERSION "\(.*\)"/\1/p' core/include/onecopy/version.hpp)
  there=$(PKG_CONFIG_PATH=$(dirname "$(find "$work" -name onecopy.pc | head -n 1)") pkg-config --modversion onecopy)
  echo "header $here, pkg-config $there, CMake $(grep -m1 'project(onecopy' CMakeLists.txt)"
  [ "$here" = "$there" ] && grep -q "project(onecopy VERSION $here " CMakeLists.txt
}

refuses_other_version() {
  sed 's/find_package(onecopy 0.1/find_package(onecopy 9.9/' examples/cpp-consumer/CMakeLists.txt \
    >"$work/CMakeLists.txt"
  cp examples/cpp-consumer/main.cpp "$work/"
  ! cmake -S "$work" -B "$work/other-version" -DCMAKE_PREFIX_PATH="$work/second"
}

by_mpi() {
  mkdir -p "$work/mpi"
  cat >"$work/mpi/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.20)
project(uses_mpi LANGUAGES CXX)
find_package(onecopy 0.1 REQUIRED COMPONENTS mpi)
add_executable(uses_mpi main.cpp)
target_link_libraries(uses_mpi PRIVATE onecopy::mpi)
END
  cat >"$work/mpi/main.cpp" <<'END'
#include <onecopy/mpi.hpp>
int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const double numbers[] = {1, 2, 3};
  const auto got = onecopy::mpi::bcast(onecopy::share(std::span<const double>(numbers)));
  MPI_Finalize();
  return got.size() == 3 ? 0 : 1;
}
END
  cmake -S "$work/mpi" -B "$work/mpi/build" -DCMAKE_PREFIX_PATH="$work/second" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" &&
    cmake --build "$work/mpi/build" && "$work/mpi/build/uses_mpi"
}

tool_runs() { "$(find "$work/second" -path '*/bin/onecopy')" --version; }

check "cmake --install" installed
check "every public header is installed, and no other" headers_complete
check "one version everywhere" version_agrees
check "find_package(onecopy)" by_cmake "$work/first" "$work/cmake"
check "two processes share (CMake build)" shares_and_attaches "$work/cmake"
check "pkg-config onecopy" by_pkg_config "$work/first" "$work/pc"
check "two processes share (pkg-config build)" shares_and_attaches "$work/pc"
check "a bad handle is an error that shows the form" says_why_on_bad_handle "$work/pc"
mv "$work/first" "$work/second"
check "find_package after the tree was moved" by_cmake "$work/second" "$work/cmake-moved"
check "pkg-config after the tree was moved" by_pkg_config "$work/second" "$work/pc-moved"
check "another major version is refused" refuses_other_version
check "the installed tool runs" tool_runs
if command -v mpicxx >/dev/null; then
  check "find_package(onecopy COMPONENTS mpi)" by_mpi
else
  skip "find_package(onecopy COMPONENTS mpi)" "there is no MPI for C++"
fi
finish
