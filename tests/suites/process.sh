#!/usr/bin/env bash
# Real processes: killed, in crowds, forked, and with too little of everything.
set -uo pipefail
# Those of lazy objects have a suite of their own, pager.sh.
programs=()
for program in "${ONECOPY_BUILD:-build/release}"/tests/process_*; do
  [[ $program == */process_pager_* ]] || programs+=("$program")
done
exec python3 tests/support/run_gtest.py --seconds 400 -- "${programs[@]}"
