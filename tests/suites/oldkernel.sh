#!/usr/bin/env bash
# The tests of regions, values and processes again, each time on a kernel that lacks something.
set -uo pipefail
source tests/support/suite.sh
tests=${ONECOPY_BUILD:-build/release}/tests
without=$tests/onecopy_without

# Random trees and hostile bytes take long, and say nothing about the kernel.
usual='-Hostile*:*Random*:FormatDocument*'
# What needs a memfd by its nature.
memfd='-Hostile*:*Random*:FormatDocument*:Record.AHandleIsEnoughWithoutAName:Publish.MoreThanTheMemory*'

run() {  # run FEATURES FILTER PROGRAM...
  local features=$1 filter=$2
  shift 2
  printf -- '---- without %s\n' "$features"
  gtests --seconds 120 --under "$without $features" --filter="$filter" -- "$@"
}

if [ ! -x "$without" ]; then
  skip "every test without a kernel feature" "libseccomp (libseccomp-dev) was not there when the tests were built"
  finish
  exit
fi
"$without" fallocate true
if [ $? -eq 77 ]; then
  skip "every test without a kernel feature" "this machine loads no seccomp filter"
  finish
  exit
fi

core=("$tests/unit_region" "$tests/unit_object" "$tests/conformance")
for feature in noexec-seal tmpfile fallocate pagemap-scan newer-calls; do run "$feature" "$usual" "${core[@]}"; done
for feature in memfd memfd-permission sealing; do run "$feature" "$memfd" "${core[@]}"; done
for feature in proc-locks proc; do
  "$without" "$feature" true
  if [ $? -eq 77 ]; then skip "without $feature" "no mount namespace can be made here"; continue; fi
  # A memfd is opened again through /proc/self/fd, so without /proc there are no objects in memfds and no records.
  filter=$memfd
  [ "$feature" = proc ] && filter="$memfd:*memfd*:Descriptor.*:Record.*:Handles.RegionsWithoutAName*"
  run "$feature" "$filter" "${core[@]}"
done
# All of it at once, with processes that fork, are killed, or use a strange directory.
run memfd,tmpfile,fallocate,pagemap-scan,newer-calls "$memfd" "${core[@]}" "$tests/process_fork" "$tests/process_directory"
run tmpfile,newer-calls 'Kill.DuringPublishing:Kill.While*:Kill.Everybody*' "$tests/process_kill"
finish
