"""What is below the simulated ``aclruntime``: ACL's process-wide state, its error texts, C's
buffered standard output, and the chip.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import crash_at, device_count, has_fault
from portproof.rehearsal.om import Executable

_TEXTS = {
    -1: "ACL: general failure",
    1: "ACL: invalid parameter",
    1004: "Invalid parameter",
    3011: "Infer: find outputsize is zero please check outputsize is set correct",
    100001: "ACL is not initialized",
}
DEBUG, INFO, WARN, ERROR = 1, 2, 3, 4
_LEVELS = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}


class SimulatedCrash(BaseException):
    """The real library ends the process with a segmentation fault here. Not an ``Exception``, so
    that nothing swallows it.
    """


def failure(code: int) -> RuntimeError:
    """The exception of an error code, with the trailing space that the real text has."""
    return RuntimeError(f"[{code}][{_TEXTS.get(code, 'Error code unknown')}] ")


class _StandardOutput:
    """C's ``stdout``: line by line on a terminal or with ``PYTHONUNBUFFERED``, else only when
    flushed, mostly at exit.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._immediate = (
            os.isatty(1)
            or bool(os.environ.get("PYTHONUNBUFFERED"))
            or bool(getattr(sys.flags, "unbuffered", 0))
        )

    def write(self, text: str) -> None:
        self._waiting.append(text)
        if self._immediate:
            self.flush()

    def flush(self) -> None:
        text, self._waiting = "".join(self._waiting), []
        data = text.encode("utf-8", "surrogateescape")
        while data:
            data = data[os.write(1, data) :]


class Acl:
    """ACL's state in this process: one start, one end, a current context for each thread."""

    def __init__(self) -> None:
        self.out = _StandardOutput()
        self.initialised = False
        self.ended = False
        self.devices: set[int] = set()
        self.log_level = INFO
        self.models = 0
        self.executions = 0
        self.unload_all: Callable[[], None] = lambda: None
        self._context = threading.local()
        atexit.register(
            self._at_exit
            # now, before anything of a user's: the real library cleans up after Python's own exit
            # handlers
        )

    def log(self, level: int, text: str) -> None:
        """A line of the library's own log, if the level is shown."""
        if level >= self.log_level:
            self.out.write(f"[{_LEVELS[level]}] {text}\n")

    def recent_error(self, text: str) -> None:
        """Where real CANN prints a text of its own."""
        self.out.write(f"[REHEARSAL] {text}\n")

    def open(self, device: int, acl_json_path: str) -> None:
        """Initialise ACL at the first session of the process, open the device, and make its context
        this thread's.
        """
        if not self.initialised and not self.ended:
            self._initialise(acl_json_path)
        if not self.initialised:
            self.not_initialised(device)
            self.out.write("SetDevice failed. ret=100001\n")
            raise failure(100001)
        if not 0 <= device < device_count():
            self.recent_error(
                f"aclrtSetDevice: device {device} does not exist, there are {device_count()}"
                " (ret=107001)"
            )
            self.log(ERROR, f"acl open device {device} failed")
            self.out.write("SetDevice failed. ret=107001\n")
            raise failure(107001)
        if device not in self.devices:
            self.devices.add(device)
            self.out.write(f"[INFO] open device {device} success\n")
        self._context.device = device

    def _initialise(self, acl_json_path: str) -> None:
        code, why = 0, ""
        if acl_json_path:
            try:
                if not isinstance(
                    json.loads(Path(acl_json_path).read_text(encoding="utf-8")), dict
                ):
                    raise ValueError
            except OSError:
                code, why = 100003, f"cannot open configuration file {acl_json_path}"
            except ValueError:
                code, why = 100006, f"{acl_json_path} is not a JSON object"
        if code:
            self.recent_error(f"aclInit: {why} (ret={code})")
            self.log(ERROR, "acl init failed")
            self.out.write(f"DeviceManager InitDevices failed. ret={code}\n")
            return
        self.initialised = True
        self.out.write("[INFO] acl init success\n")

    def not_initialised(self, device: int) -> None:
        """What is printed when a device is needed before the first session, or after the end."""
        self.recent_error("aclrtSetDevice: not initialized (ret=100001)")
        self.log(ERROR, f"acl open device {device} failed")

    @property
    def has_context(self) -> bool:
        """Whether this thread may use the device."""
        return self.initialised and getattr(self._context, "device", None) is not None

    def enter(self, device: int) -> None:
        """Make a device's context this thread's, as moving a tensor does."""
        self._context.device = device

    def end(self) -> None:
        """Finalize: for every session of the process, for good."""
        self.log(INFO, "end to destroy context")
        for device in sorted(self.devices):
            self.log(INFO, f"end to reset device is {device}")
        self.log(INFO, "end to finalize acl")
        self.initialised, self.ended = False, True

    def _at_exit(self) -> None:
        self.unload_all()
        if self.initialised:
            self.end()
        self.out.flush()

    def execute(
        self, model: Executable, arrays: Sequence[np.ndarray[Any, Any]], device: int
    ) -> tuple[list[np.ndarray[Any, Any]], float]:
        """One execution on a chip: the outputs and its milliseconds."""
        self.executions += 1
        if self.executions == crash_at():
            self.out.flush()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        began = time.perf_counter()
        results = model.execute(arrays)
        if has_fault("slow-chip", device):
            time.sleep(4 * (time.perf_counter() - began))
        return results, float(np.float32((time.perf_counter() - began) * 1000))


#: The process's ACL.
acl = Acl()
