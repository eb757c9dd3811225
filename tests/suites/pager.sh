#!/usr/bin/env bash
# Lazy objects: filling, eviction, writing back, killed and stopped pagers, forks, runners, files in place, expressions,
# plugins; as this user and, if that is root, as an ordinary one too.
set -uo pipefail
source tests/support/suite.sh
build=${ONECOPY_BUILD:-build/release}
gtests --seconds 280 -- \
  "$build"/tests/process_pager_{fill,in_place,write,runner,survive,traps,stopped,expression,plugin}

if [ "$(id -u)" -ne 0 ]; then
  echo "all of this was done by an ordinary user"
elif ! command -v setpriv >/dev/null; then
  skip "all of it as an ordinary user" "there is no setpriv (util-linux)"
else
  # That user can't go where the build may lie.
  folder=$(mktemp -d /var/tmp/onecopy-pager-XXXXXX)
  trap 'rm -rf "$folder"' EXIT
  cp "$build"/tests/process_pager_{fill,in_place,write,runner,survive,traps,stopped,expression} "$build/pager/onecopy-pager" \
    tests/support/run_gtest.py "$folder/"
  chmod -R a+rX "$folder"
  echo "---- as an ordinary user"
  output=$(cd "$folder" && env -u ONECOPY_DIR HOME="$folder" TMPDIR=/var/tmp ONECOPY_PAGER="$folder/onecopy-pager" \
    PATH=/usr/bin:/bin setpriv --reuid=65534 --regid=65534 --clear-groups python3 run_gtest.py --seconds 280 -- \
    ./process_pager_{fill,in_place,write,runner,survive,traps,stopped,expression} 2>&1)
  count_gtests "$output"
fi
finish
