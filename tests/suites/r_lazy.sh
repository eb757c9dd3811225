#!/usr/bin/env bash
# The tests of the R package's lazy vectors. Contract of a suite: see scripts/test.sh.
set -u
export R_LIBS="${ONECOPY_RLIB:?the R library where onecopy is installed}:${R_LIBS:-}"
output=$(mktemp)
trap 'rm -f "$output"' EXIT
# As in r.sh, what counts is the line of totals.
Rscript --vanilla tests/suites/r_run.R '^lazy' 2>&1 | tee "$output" || true
totals=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$output" | tail -n 1)
printf '%s\n' "${totals:-0 passed, 1 failed, 0 skipped}"
[[ $totals =~ \ 0\ failed, ]]
