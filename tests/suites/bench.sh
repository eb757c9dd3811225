#!/usr/bin/env bash
# Every benchmark at tiny sizes, so that none of them rots. Says nothing about speed.
set -uo pipefail
source tests/support/suite.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONECOPY_BENCH_RESULTS=$work

programs() { bench/run --list; }

refuses() { bench/run "$@" >/dev/null 2>&1; [ $? -eq 2 ]; }

# The program ran, and each row that it wrote has figures above zero, or says why it was not run.
measures() {  # measures PROGRAM
  local newest
  rm -f "$work"/*.json
  bench/run --no-build --tiny "${1%%/*}" --only "$1" || return 1
  newest=$(ls "$work"/*.json) || return 1
  python3 - "$newest" <<'END'
import json, math, sys
rows = json.load(open(sys.argv[1]))["rows"]
assert rows, "no rows"
ids = [row["id"] for row in rows]
assert len(ids) == len(set(ids)), f"an id twice: {ids}"
for row in rows:
    if "not_run" in row:
        print("skipped", row["id"], ":", row["not_run"])
        continue
    assert row["ours"], f"{row['id']}: nothing measured"
    assert all(math.isfinite(x) and x >= 0 for x in row["ours"] + row["baseline"]), f"{row['id']}: {row}"
    assert row["goal_of"] in ("", "ratio", "ours") and row["goal_at"] in ("", "least", "most"), row["id"]
    assert row["what"] and row["unit"] is not None, row["id"]
END
}

# What a program was not able to run must not look like success.
counts_not_run() {  # counts_not_run PROGRAM
  grep -q '"not_run"' "$work"/*.json
}

fails_when_a_program_fails() {
  cp -r bench "$work/copy" && mkdir -p "$work/copy/broken" && rm -rf "$work/copy/results" || return 1
  echo 'import sys; sys.exit(3)' >"$work/copy/broken/broken.py"
  mkdir "$work/tree" && mv "$work/copy" "$work/tree/bench" || return 1
  local output status
  output=$("$work/tree/bench/run" --no-build --tiny broken 2>&1) && status=0 || status=$?
  echo "$output"
  [ "$status" -eq 1 ] && grep -q 'FAILED broken/broken.py ended with status 3' <<<"$output"
}

check "the C++ benchmarks build" bench/run --build-only
check "there are benchmarks" test "$(programs | wc -l)" -ge 5
for program in $(programs); do
  check "$program" measures "$program"
  if counts_not_run; then skip "some of $program" "$(grep -h '"not_run"' "$work"/*.json | sort -u | head -n 1)"; fi
done
check "an unknown part is refused" refuses no-such-part
check "an unknown program is refused" refuses --only no-such-program
if [ -x "${ONECOPY_PYTHON:-build/venv/bin/python}" ]; then
  check "a program that fails is reported" fails_when_a_program_fails
else
  skip "a program that fails is reported" "there is no Python environment"
fi
finish
