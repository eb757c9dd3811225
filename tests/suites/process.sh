#!/usr/bin/env bash
# Real processes: killed, in crowds, forked, and with too little of everything.
set -uo pipefail
exec python3 tests/support/run_gtest.py --seconds 400 -- "${ONECOPY_BUILD:-build/release}"/tests/process_*
