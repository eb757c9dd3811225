"""What tests do to processes. Not in conftest.py: spawned children import what a test imports, and that one makes a
store."""

from __future__ import annotations

import os
import signal
from typing import Any


def kill(process: Any) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
