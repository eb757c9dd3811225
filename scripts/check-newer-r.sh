#!/usr/bin/env bash
# Checks the R package on the R of a later Debian release, in a root directory made by debootstrap.
#
#   scripts/check-newer-r.sh [suite] [directory]
#
# suite: trixie (R 4.5) unless given, or sid. directory: where the root is made, and kept for the next run
# (/var/tmp/onecopy-<suite>). Needs root, debootstrap and a network. The package is built and checked with
# `R CMD check`, then its tests run with all suggested packages that the release has.
set -euo pipefail
suite=${1:-trixie}
root=${2:-/var/tmp/onecopy-$suite}
here=$(cd "$(dirname "$0")/.." && pwd)
# The mirror that this machine itself installs from, unless another is given.
mirror=${ONECOPY_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)}
packages=r-base-core,r-base-dev,r-cran-testthat,r-cran-callr,r-cran-bit64,r-cran-r6,r-cran-matrix,r-cran-rcpp
packages+=,r-cran-tibble,r-cran-data.table,r-cran-knitr,r-cran-rmarkdown,pandoc,ca-certificates

[ "$(id -u)" = 0 ] || { echo "check-newer-r: run it as root: debootstrap and chroot need it" >&2; exit 1; }
if [ ! -x "$root/usr/bin/R" ]; then
  echo "making $suite in $root (about 1 GB)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror"
  mount -t proc proc "$root/proc" 2>/dev/null || mount --bind /proc "$root/proc"
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get update -q
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -q --no-install-recommends ${packages//,/ }
fi
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mountpoint -q "$root/dev/shm" || mount -t tmpfs -o size=4g tmpfs "$root/dev/shm"
[ -c "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
trap 'umount "$root/dev/shm" "$root/proc" 2>/dev/null || true' EXIT

rm -rf "$root/check"
mkdir -p "$root/check"
(cd "$here" && tar -ch --exclude='*.o' --exclude='*.so' --exclude='*.a' r) | tar -x -C "$root/check"
chroot "$root" bash -c '
  set -e
  cd /check
  export MAKEFLAGS="-j$(nproc)" LANG=C.UTF-8 NOT_CRAN=true _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_CRAN_INCOMING_=false
  R --version | head -1
  R CMD build r
  R CMD check --as-cran --no-manual onecopy_*.tar.gz
'
