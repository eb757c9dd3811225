#!/usr/bin/env bash
# The rules of the house: layers, public faces, lists of files, lengths, links, versions.
exec "${ONECOPY_PYTHON:-python3}" tests/house/house.py
