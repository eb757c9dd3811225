#!/usr/bin/env bash
# Every code block of README.md and docs/ is run.
exec "${ONECOPY_PYTHON:-python3}" tests/docs/run_blocks.py
