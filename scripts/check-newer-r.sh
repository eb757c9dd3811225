#!/usr/bin/env bash
# Checks the R package on the R of a later Debian release, in a root directory made by debootstrap.
#
#   scripts/check-newer-r.sh [suite] [directory]
#
# suite: trixie (R 4.5) unless given, or forky or sid (R 4.6). directory: where the root is made, and kept for the next
# run (/var/tmp/onecopy-<suite>). Needs root and debootstrap, and a network only to make the root. The package is built
# and checked with `R CMD check --as-cran`, then all its tests run against what was installed. Fails on errors, warnings
# and failed tests; prints the notes and the total of the tests. Runs in different directories don't disturb each other;
# a second one in the same directory refuses to start.
set -euo pipefail
suite=${1:-trixie}
root=${2:-/var/tmp/onecopy-$suite}
here=$(cd "$(dirname "$0")/.." && pwd)
# The mirror that this machine itself installs from, unless another is given.
mirror=${ONECOPY_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)}
packages=(ca-certificates ccache pandoc qpdf procps r-base-core r-base-dev r-cran-bit64 r-cran-callr r-cran-data.table
  r-cran-doparallel r-cran-foreach r-cran-future r-cran-knitr r-cran-matrix r-cran-mgcv r-cran-processx r-cran-r6
  r-cran-rcpp r-cran-rmarkdown r-cran-testthat r-cran-tibble r-bioc-biocparallel)

[ "$(id -u)" = 0 ] || { echo "check-newer-r: run it as root: debootstrap and chroot need it" >&2; exit 1; }

# Mounts and processes are in namespaces of their own: however this ends, the kernel takes both away, and no other run
# sees them. The lock is held as long as anything runs there.
if [ "${ONECOPY_CHECK_INSIDE:-}" != "$root" ]; then
  mkdir -p "$(dirname "$root")"
  exec 9>"$root.lock"
  flock -n 9 || { echo "check-newer-r: another run uses $root; wait for its end, or name another directory" >&2; exit 1; }
  # A job of its own group: what is started in the background otherwise ignores SIGINT, and so do the tests' workers.
  set -m
  ONECOPY_CHECK_INSIDE=$root setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
    bash "$0" "$suite" "$root" </dev/null &
  trap 'kill -KILL %1 2>/dev/null || true' EXIT
  status=0
  wait %1 || status=$?
  exit "$status"
fi

if [ ! -x "$root/usr/bin/apt-get" ] || [ -e "$root.unfinished" ]; then
  echo "making $suite in $root (about 2 GB)"
  touch "$root.unfinished"
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror"
  rm "$root.unfinished"
fi
mkdir -p "$root/proc" "$root/dev/shm"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=4g tmpfs "$root/dev/shm"
[ -c "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
if [ "$(cat "$root/packages" 2>/dev/null)" != "${packages[*]}" ]; then
  # The lists of a mirror that stands still expire; they are signed all the same.
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get update -q -o Acquire::Check-Valid-Until=false
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -q --no-install-recommends "${packages[@]}"
  echo "${packages[*]}" >"$root/packages"
fi

# R has configure looked at by a script of the package devscripts, which brings half of Perl: only the script is taken.
if [ ! -x "$root/usr/bin/checkbashisms" ]; then
  chroot "$root" bash -c 'cd /tmp && apt-get update -q -o Acquire::Check-Valid-Until=false &&
    apt-get download -q devscripts && dpkg-deb -x devscripts_*.deb devscripts &&
    cp devscripts/usr/bin/checkbashisms /usr/bin/ && rm -rf devscripts*'
fi

rm -rf "$root/check"
mkdir -p "$root/check/none/src/contrib" "$root/dev/shm/store"
chmod 700 "$root/dev/shm/store"
(cd "$here" && tar -ch --exclude='*.o' --exclude='*.so' --exclude='*.a' r) | tar -x -C "$root/check"
(cd "$here/examples" && tar -ch --exclude='*.o' --exclude='*.so' r-linking-to r-lazy-source) | tar -x -C "$root/check"
cp "$here/tests/suites/r_run.R" "$root/check/"
touch "$root/check/none/src/contrib/PACKAGES"
{
  printf 'menu_name\tURL\tdefault\tsource\twin.binary\tmac.binary\n'
  for name in CRAN BioCsoft BioCann BioCexp; do
    printf '%s\t%s\tfile:///check/none\tTRUE\tTRUE\tFALSE\tFALSE\n' "$name" "$name"
  done
} >"$root/check/repositories"
printf 'CXX = ccache g++\nCXX17 = ccache g++\nCXX20 = ccache g++\nCC = ccache gcc\n' >"$root/check/makevars"
# Nothing from outside the root may be seen inside: neither the caller's R libraries nor its store.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
  JOBS="${ONECOPY_JOBS:-$(nproc)}" chroot "$root" bash -c '
  cd /check
  export MAKEFLAGS="-j$JOBS" LANG=C.UTF-8 _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_CRAN_INCOMING_=false \
    _R_CHECK_SYSTEM_CLOCK_=false R_REPOSITORIES=/check/repositories R_MAKEVARS_USER=/check/makevars CCACHE_DIR=/ccache \
    CCACHE_NOHASHDIR=1
  R --version | head -n 1
  R CMD build r >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
  R CMD check --as-cran --no-manual onecopy_*.tar.gz >check.log 2>&1
  status=$?
  sed -n "/NOTE$/,/ OK$/p; /WARNING$/,/ OK$/p; /ERROR$/,/ OK$/p" check.log
  summary=$(grep "^Status:" onecopy.Rcheck/00check.log || echo "Status: it did not come to an end")
  mkdir -p library
  R CMD INSTALL --library=library onecopy_*.tar.gz >install.log 2>&1 || { tail -n 40 install.log; exit 1; }
  export R_LIBS=/check/library ONECOPY_RLIB=/check/library ONECOPY_DIR=/dev/shm/store NOT_CRAN=true
  R CMD INSTALL --no-docs --library=library r-linking-to r-lazy-source >examples.log 2>&1 ||
    { tail -n 40 examples.log; exit 1; }
  Rscript --vanilla r_run.R >tests.log 2>&1
  cat tests.log
  printf "%s\n" "$summary"
  totals=$(grep -aE "^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$" tests.log | tail -n 1)
  printf "%s\n" "${totals:-the tests did not come to an end}"
  [ "$status" -eq 0 ] && [[ $summary != *ERROR* && $summary != *WARNING* ]] && [[ $totals == *" 0 failed,"* ]]
' 9>&-
