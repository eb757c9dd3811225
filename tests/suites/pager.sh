#!/usr/bin/env bash
# Lazy objects: filling, eviction, writing back, killed pagers, forks, runners; as this user and as an ordinary one.
set -uo pipefail
tests=${ONECOPY_BUILD:-build/release}/tests
exec python3 tests/support/run_gtest.py --seconds 280 -- "$tests"/process_pager_{fill,write,runner,survive}
