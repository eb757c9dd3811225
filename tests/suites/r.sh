#!/usr/bin/env bash
# The R package's tests. Contract of a suite: see scripts/test.sh.
set -u
export R_LIBS="${ONECOPY_RLIB:?the R library where onecopy is installed}:${R_LIBS:-}"
exec Rscript --vanilla tests/suites/r_run.R
