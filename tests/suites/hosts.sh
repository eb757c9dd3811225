#!/usr/bin/env bash
# Dask over several hosts, which are namespaces of this machine; needs root, and skips where there is none.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source tests/support/pytest_suite.sh
pytest_suite tests/hosts/test_dask_hosts.py tests/hosts/test_dask_more.py tests/hosts/test_example.py
