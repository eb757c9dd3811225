#!/usr/bin/env bash
# The command-line tool, driven as people and scripts drive it.
set -uo pipefail
source tests/support/pytest_suite.sh
pytest_suite tests/cli
