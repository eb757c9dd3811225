#!/usr/bin/env bash
# Each fuzz target for half a minute from its corpus; what it finds is left in build/fuzz-findings.
set -uo pipefail
source tests/support/suite.sh

build() {
  cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++-14 \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" -DONECOPY_BUILD_CLI=OFF -DONECOPY_BUILD_FUZZ=ON \
    -DONECOPY_SANITIZE=address,undefined && ninja -C build/fuzz -j 2
}

# New inputs go to a folder of the build; the kept corpus is only read.
run() {  # run TARGET SECONDS
  mkdir -p "build/fuzz-corpus/$1" build/fuzz-findings
  timeout 300 "build/fuzz/fuzz/fuzz_$1" -max_total_time="$2" -max_len=16384 -timeout=20 -rss_limit_mb=3000 \
    -print_final_stats=1 -artifact_prefix="build/fuzz-findings/$1-" "build/fuzz-corpus/$1" "fuzz/corpus/$1"
}

if ! command -v clang++-14 >/dev/null; then
  skip "fuzzing" "clang++-14 is not installed"
  finish
  exit
fi
check "the fuzz targets build" build
# The seeds follow the writer: made anew, none may be refused.
check "the writer still makes the corpus" build/fuzz/fuzz/make_corpus "$(mkdir -p build/fuzz-seeds/region && echo build/fuzz-seeds)"
check "no region that crashes the reader" run region 40
check "no text that crashes the parser of handles" run handle 20
finish
