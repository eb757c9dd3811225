#!/usr/bin/env bash
# The core's tests again under AddressSanitizer and UndefinedBehaviorSanitizer, and those with threads under
# ThreadSanitizer. The lazy objects' pager is in neither: its processes fault pages in for each other on purpose.
set -uo pipefail
source tests/support/suite.sh

memory_tests=(unit_base unit_format unit_os unit_region unit_object unit_sync unit_transport unit_pager conformance
  process_directory process_fork process_kill process_transport_cache process_transport_channel process_sync_storm)
thread_tests=(unit_os unit_sync unit_transport conformance process_sync_storm)
# The kernel maps a page of zeros below the threads that read it: that is the guard's work, and a race only in name.
named_race=BusGuard.ManyThreadsMayHitOneFile
# A child forked amid threads may find AddressSanitizer's own heap locked by one that it has not.
forked_amid_threads=Fork.AmidThreadsThatShareAndDrop
# These run out of memory, addresses or descriptors on purpose, and a sanitizer needs those itself (so process_limits is
# not in the list either).
about_limits='Publish.MoreThanTheMemory*:HostilePeer.AMessageOfMoreObjects*'

build() {  # build PRESET TARGET...
  local preset=$1
  shift
  cmake --preset "$preset" -DONECOPY_BUILD_CLI=OFF -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" &&
    ninja -C "build/$preset" -j 2 onecopy_peer "$@"
}

run() {  # run PRESET FILTER TARGET...
  local preset=$1 filter=$2
  shift 2
  printf -- '---- %s\n' "$preset"
  gtests --seconds 300 --filter="$filter" -- "${@/#/build/$preset/tests/}"
}

# A sanitizer reserves terabytes of addresses, which ulimit -v would refuse.
ulimit -v unlimited 2>/dev/null || true
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=die_after_fork=0
check "the tests build with AddressSanitizer" build asan "${memory_tests[@]}"
run asan "-$forked_amid_threads:$about_limits" "${memory_tests[@]}"
check "the tests build with ThreadSanitizer" build tsan "${thread_tests[@]}"
run tsan "-$named_race:$about_limits:*Random*:Hostile*" "${thread_tests[@]}"
skip "$forked_amid_threads with AddressSanitizer" "its heap may be locked in a child forked amid threads"
skip "process_limits and $about_limits with sanitizers" "they run out of what a sanitizer needs itself"
skip "$named_race with ThreadSanitizer" "the guard replaces a page that other threads read"
finish
