#!/usr/bin/env bash
# The R package as its users get it: `R CMD build`, then `R CMD check --as-cran` of what that made. Takes some minutes;
# fails on errors and warnings. Wants what scripts/setup.sh installs, and knitr, rmarkdown, pandoc and qpdf.
# scripts/check-newer-r.sh does the same on later versions of R.
#
#   scripts/check-r.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

work=$root/build/r-check
rm -rf "$work"
mkdir -p "$work"
# What an earlier build in the source folder left must not go into the package; links are followed, as R does.
tar -ch --exclude='*.o' --exclude='*.so' --exclude='*.a' r | tar -x -C "$work"
cd "$work"
if command -v ccache >/dev/null; then
  printf 'CXX = ccache g++\nCXX17 = ccache g++\nCXX20 = ccache g++\nCC = ccache gcc\n' >makevars
  export R_MAKEVARS_USER=$work/makevars
fi
# R compiles everything in a new folder each time; ccache shall not mind.
export MAKEFLAGS=-j${ONECOPY_JOBS:-$(nproc)} LANG=C.UTF-8 CCACHE_NOHASHDIR=1
# Nothing here may depend on a network: not the lists of packages, not the clock, not links.
export _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_CRAN_INCOMING_=false _R_CHECK_SYSTEM_CLOCK_=false
# R has configure looked at by a script of the package devscripts, which brings half of Perl: only the script is taken.
if ! command -v checkbashisms >/dev/null; then
  mkdir -p devscripts
  if (cd devscripts && apt-get download -q devscripts && dpkg-deb -x devscripts_*.deb .) >bashisms.log 2>&1; then
    PATH=$PATH:$work/devscripts/usr/bin
  else
    echo "checkbashisms is not here and apt-get can't bring it (devscripts): configure is not checked for bashisms"
    export _R_CHECK_BASHISMS_=false
  fi
fi
mkdir -p none/src/contrib
touch none/src/contrib/PACKAGES
{
  printf 'menu_name\tURL\tdefault\tsource\twin.binary\tmac.binary\n'
  for name in CRAN BioCsoft BioCann BioCexp; do
    printf '%s\t%s\tfile://%s/none\tTRUE\tTRUE\tFALSE\tFALSE\n' "$name" "$name" "$work"
  done
} >repositories
export R_REPOSITORIES=$work/repositories
logged "$work/build.log" "R CMD build" R CMD build r
status=0
logged "$work/check.log" "R CMD check" R CMD check --as-cran --no-manual onecopy_*.tar.gz || status=$?
grep -E '(NOTE|WARNING|ERROR)$' onecopy.Rcheck/00check.log || true
summary=$(grep '^Status:' onecopy.Rcheck/00check.log || echo 'Status: it did not come to an end')
printf '%s\n' "$summary"
[ "$status" -eq 0 ] && [[ $summary != *ERROR* && $summary != *WARNING* && $summary != *end ]]
