#!/usr/bin/env bash
# The R package's tests, but for those of lazy vectors (r_lazy.sh). Contract of a suite: see scripts/test.sh.
set -u
source tests/support/r_suite.sh
export R_LIBS="${ONECOPY_RLIB:?the R library where onecopy is installed}:${R_LIBS:-}"

# The example packages must build against what is installed; the tests use what they make.
examples=$(mktemp -d)
trap 'rm -rf "$examples"' EXIT
export R_LIBS="$examples:$R_LIBS"
for example in r-linking-to r-lazy-source; do
  if ! (cd examples && tar -ch --exclude='*.o' --exclude='*.so' "$example") | tar -x -C "$examples" ||
    ! R CMD INSTALL --no-docs --library="$examples" "$examples/$example" >"$examples/log" 2>&1; then
    tail -20 "$examples/log"
    echo "examples/$example does not build"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
  fi
done
r_suite not lazy
