#!/usr/bin/env bash
# The Python package's own tests, as installed in the environment of ONECOPY_PYTHON.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
export ONECOPY_DIR=${ONECOPY_DIR:?a fresh, empty store}
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# From another folder: python/onecopy has no compiled part, the installed package has.
(cd python/tests && "$ONECOPY_PYTHON" -m pytest -q -p no:cacheprovider -c ../pyproject.toml --rootdir=. . "$@") | tee "$report"
status=${PIPESTATUS[0]}
count() { grep -oE "[0-9]+ $1" "$report" | tail -n 1 | grep -oE '[0-9]+' || echo 0; }
failed=$(($(count failed) + $(count errors?)))
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
printf '%d passed, %d failed, %d skipped\n' "$(count passed)" "$failed" "$(count skipped)"
[ "$failed" -eq 0 ]
