#!/usr/bin/env bash
# The R package under AddressSanitizer and UndefinedBehaviorSanitizer: all tests of views, types, lists, plain vectors,
# travelling, channels and wrong arguments, with a garbage collection at every allocation for some of them (gctorture).
# Fails on the first error that a sanitizer reports, and on failed tests. Takes some minutes.
#
#   scripts/check-r-memory.sh             those tests
#   scripts/check-r-memory.sh PATTERN     the files that it fits: views is r/tests/testthat/test-views.R
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

pattern=${1:-'^(views|types|lists|plain|travel|channels|arguments|bad-input|records|specification)'}
work=$root/build/r-memory
library=$work/library
# Anew: make knows nothing of headers, and ccache makes it cheap.
rm -rf "$work/source"
mkdir -p "$library" "$work/source"
cp -RL r/. "$work/source/"
launcher=$(command -v ccache || true)
flags="-g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all"
cat >"$work/makevars" <<END
CXX = $launcher g++ -fsanitize=address,undefined
CXX20 = $launcher g++ -fsanitize=address,undefined
CXX20FLAGS = $flags
LDFLAGS = -fsanitize=address,undefined
END
export ONECOPY_KEEP_DEBUG=1 R_MAKEVARS_USER=$work/makevars MAKEFLAGS=-j${ONECOPY_JOBS:-$(nproc)}
# R itself is not instrumented, so the sanitizer comes first in every R process; R never gives all of its memory back.
asan=$(gcc -print-file-name=libasan.so) ubsan=$(gcc -print-file-name=libubsan.so)
export ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0:allow_user_segv_handler=1:abort_on_error=0:log_path=$work/found
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$work/found
rm -f "$work"/found.*
# Installing loads the library once, in an R that need not be watched.
ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 logged "$work/install.log" "compiling the R package with sanitizers" \
  R CMD INSTALL --no-docs --no-test-load --library="$library" "$work/source"
cp -R examples/r-linking-to "$work/"
ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 R_LIBS=$library logged "$work/example.log" "the example package" \
  R CMD INSTALL --no-docs --no-test-load --library="$library" "$work/r-linking-to" || true

ONECOPY_DIR=$(mktemp -d /dev/shm/onecopy-r-memory-XXXXXX)
export ONECOPY_DIR R_LIBS=$library:${R_LIBS:-}
trap 'rm -rf "$ONECOPY_DIR"' EXIT
status=0
LD_PRELOAD="$asan $ubsan" Rscript --vanilla tests/suites/r_run.R "$pattern" >"$work/tests.log" 2>&1 || status=$?
tail -n 30 "$work/tests.log"
reports=$(find "$work" -maxdepth 1 -name 'found.*')
if [ -n "$reports" ]; then
  for report in $reports; do head -n 40 "$report"; done
  stop "the sanitizers found something; the whole reports: $work/found.*"
fi
[ "$status" -eq 0 ] || stop "tests failed; see $work/tests.log"
