#!/usr/bin/env bash
# MPI and R's clusters over several hosts, which are namespaces of this machine; needs root, and skips where there is none.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source tests/support/pytest_suite.sh
pytest_suite tests/hosts/test_mpi_r_hosts.py tests/hosts/test_mpi_r_failures.py
