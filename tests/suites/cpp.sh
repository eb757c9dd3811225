#!/usr/bin/env bash
# The layers of the core, one program for each, and what holds for every backing.
set -uo pipefail
exec python3 tests/support/run_gtest.py --seconds 400 -- \
  "${ONECOPY_BUILD:-build/release}"/tests/unit_* "${ONECOPY_BUILD:-build/release}"/tests/conformance
