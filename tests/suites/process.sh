#!/usr/bin/env bash
# Real processes: killed, in crowds, forked, and with too little of everything.
set -uo pipefail
source tests/support/suite.sh
# Those of lazy objects have a suite of their own, pager.sh.
programs=()
for program in "${ONECOPY_BUILD:-build/release}"/tests/process_*; do
  [[ $program == */process_pager_* ]] || programs+=("$program")
done
gtests --seconds 400 -- "${programs[@]}"
# The example of many processes: fails unless every font was whole, evictions freed memory, and nothing was left over.
check "examples/font_cache" timeout 120 "${ONECOPY_BUILD:-build/release}"/examples/font_cache/font_cache 3 4
finish
