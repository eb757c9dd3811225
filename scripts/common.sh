# What the scripts share. Source it; it changes to the root of the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

# Progress goes to standard error as well as results do to standard output, so that neither gets lost in a pipe.
step() { printf '== %s\n' "$*" >&2; }
stop() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a log; shows a line every half minute, and the end of the log if it fails.
logged() {  # logged LOG WHAT command...
  local log=$1 what=$2 began=$SECONDS pid status=0 shown=0
  shift 2
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if [ $((SECONDS - began)) -ge $((shown + 30)) ]; then
      shown=$((SECONDS - began))
      printf '   %s: %d s\n' "$what" "$shown" >&2
    fi
    sleep 0.2
  done
  wait "$pid" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '   %s failed (status %d). The end of %s:\n' "$what" "$status" "$log" >&2
    tail -n 60 "$log" >&2
    return "$status"
  fi
}

# Prints a Python of at least 3.11 that can make virtual environments and compile extensions. What `python3` is on the
# path may be a shim without headers, so each candidate is asked.
find_python() {
  local candidate
  for candidate in "${ONECOPY_BASE_PYTHON:-}" /usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" - >/dev/null 2>&1 <<'END'
import ensurepip, os, sys, sysconfig, venv
assert sys.version_info >= (3, 11)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
END
    then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# A digest of files and of strings given, to tell whether a step must be done again.
digest() { sha256sum "$@" 2>/dev/null | sha256sum | cut -c 1-64; }
