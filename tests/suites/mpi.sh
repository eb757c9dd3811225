#!/usr/bin/env bash
# onecopy.mpi and onecopy/mpi.hpp under a real mpirun.
set -u
source tests/support/pytest_suite.sh
pytest_suite tests/mpi
