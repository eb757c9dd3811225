#!/usr/bin/env bash
# Ray over several hosts, which are namespaces of this machine; needs root, and skips where there is none.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source tests/support/pytest_suite.sh
pytest_suite tests/hosts/test_ray_hosts.py
