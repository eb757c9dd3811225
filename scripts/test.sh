#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test suite (tests/suites/*.sh), two at a time.
#
#   scripts/test.sh               everything
#   scripts/test.sh cli docs      only these suites
#
# Logs go to build/logs. The last line is `N passed, N failed, N skipped`; the exit status is 0 only if none failed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
suites=()
if [ $# -gt 0 ]; then
  for name in "$@"; do
    [ -f "tests/suites/$name.sh" ] || { printf 'there is no suite tests/suites/%s.sh\n' "$name" >&2; exit 2; }
    suites+=("$name")
  done
else
  for file in tests/suites/*.sh; do suites+=("$(basename "$file" .sh)"); done
fi
lanes=${ONECOPY_LANES:-2}
limit=${ONECOPY_SUITE_SECONDS:-1200}
logs=build/logs
began=$SECONDS

scripts/setup.sh
scripts/build.sh
mkdir -p "$logs"
results=$(mktemp -d)
running=()
stop_all() {
  local pid child
  for pid in ${running[@]+"${running[@]}"}; do
    # timeout makes a group of its own, and passes on what it gets.
    for child in $(ps -o pid= --ppid "$pid"); do kill "$child" 2>/dev/null || true; done
    kill -- "-$pid" 2>/dev/null || true
  done
  rm -rf "$results"
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# Each suite sees only its own store, and runs in its own process group with a time limit: nothing it does or leaves
# can reach another suite.
run_suite() {  # run_suite NAME
  local name=$1 store status=0 from=$SECONDS line p f s verdict
  store=$(mktemp -d "/dev/shm/onecopy-test-$name-XXXXXX")
  chmod 700 "$store"
  env ONECOPY_DIR="$store" ONECOPY_BUILD="$root/build/release" ONECOPY_CLI="$root/build/release/cli/onecopy" \
    ONECOPY_PYTHON="$root/build/venv/bin/python" ONECOPY_RLIB="$root/build/r-library" \
    R_LIBS="$root/build/r-library" \
    timeout --kill-after=20 "$limit" bash "tests/suites/$name.sh" >"$logs/suite-$name.log" 2>&1 </dev/null || status=$?
  rm -rf "$store"
  line=$(tail -n 1 "$logs/suite-$name.log")
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
  else
    # It died before it could count.
    p=0 f=0 s=0
    [ "$status" -ne 0 ] || status=1
  fi
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  verdict=ok
  if [ "$f" -gt 0 ]; then verdict=FAILED; fi
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then verdict="FAILED (over $limit s)"; fi
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$p" "$f" "$s" "$((SECONDS - from))" "$verdict" >"$results/$name"
  printf '   %-14s %-7s %4d passed, %d failed, %d skipped in %d s\n' \
    "$name" "$verdict" "$p" "$f" "$s" "$((SECONDS - from))"
  if [ "$f" -gt 0 ]; then
    printf '   ---- the end of %s:\n' "$logs/suite-$name.log"
    tail -n 40 "$logs/suite-$name.log" | sed 's/^/   | /'
  fi
}

step "running ${#suites[@]} suites, $lanes at a time; logs in $logs"
set -m
for name in "${suites[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$lanes" ]; do wait -n || true; done
  printf '   %-14s started\n' "$name"
  run_suite "$name" &
  running+=($!)
done
wait
set +m
running=()

printf '\n%-16s %8s %8s %8s %8s\n' suite passed failed skipped seconds
passed=0 failed=0 skipped=0
for name in "${suites[@]}"; do
  IFS=$'\t' read -r _ p f s seconds verdict <"$results/$name" || { p=0 f=1 s=0 seconds=0 verdict=FAILED; }
  if [ "$verdict" = ok ]; then verdict=; fi
  printf '%-16s %8d %8d %8d %8d  %s\n' "$name" "$p" "$f" "$s" "$seconds" "$verdict"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if [ "$skipped" -gt 0 ]; then
  printf '\nskipped, and why:\n'
  for name in "${suites[@]}"; do
    grep -iE '^ *\[? *(skipped|skip)\b' "$logs/suite-$name.log" | head -n 20 | sed "s/^/  $name: /" || true
  done
fi
printf '\n%d minutes in all\n' $(((SECONDS - began + 59) / 60))
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
