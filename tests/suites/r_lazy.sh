#!/usr/bin/env bash
# The tests of the R package's lazy vectors. Contract of a suite: see scripts/test.sh.
set -u
source tests/support/r_suite.sh
export R_LIBS="${ONECOPY_RLIB:?the R library where onecopy is installed}:${R_LIBS:-}"
r_suite '^lazy'
