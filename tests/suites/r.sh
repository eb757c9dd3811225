#!/usr/bin/env bash
# The R package's tests, but for those of lazy vectors (r_lazy.sh). Contract of a suite: see scripts/test.sh.
set -u
export R_LIBS="${ONECOPY_RLIB:?the R library where onecopy is installed}:${R_LIBS:-}"

# The example package must build against what is installed; the tests use what it makes.
examples=$(mktemp -d)
trap 'rm -rf "$examples"' EXIT
if (cd examples && tar -ch --exclude='*.o' --exclude='*.so' r-linking-to) | tar -x -C "$examples" &&
  R CMD INSTALL --no-docs --library="$examples" "$examples/r-linking-to" >"$examples/log" 2>&1; then
  export R_LIBS="$examples:$R_LIBS"
else
  tail -20 "$examples/log"
  echo "examples/r-linking-to does not build"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
set -o pipefail
status=0
Rscript --vanilla tests/suites/r_run.R not lazy 2>&1 | tee "$examples/output" || status=$?
totals=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$examples/output" | tail -n 1)
# R that ends badly after its last test has failed too.
if [ "$status" -ne 0 ] && [[ $totals =~ \ 0\ failed, ]]; then totals="0 passed, 1 failed, 0 skipped"; fi
printf '%s\n' "${totals:-0 passed, 1 failed, 0 skipped}"
[[ $totals =~ \ 0\ failed, ]]
