"""The core of the simulated ``benchmark`` and ``msame``: a loaded model, and outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from portproof.rehearsal import MARK, device_count, has_fault
from portproof.rehearsal.device.acl import acl
from portproof.rehearsal.om import Executable, NotAnOm, read_om


class ToolFailed(Exception):
    """The tool ends here; its text is what it prints."""


class SimulatedChip:
    """A model on one chip."""

    def __init__(self, path: str, device: int) -> None:
        if not 0 <= device < device_count():
            raise ToolFailed(f"[ERROR] acl open device {device} failed")
        try:
            self.header, data = read_om(Path(path))
        except (OSError, NotAnOm):
            raise ToolFailed(f"[ERROR] load model from file failed, model file is {path}") from None
        self.path, self.device = Path(path), device
        self.shapes = self.header.largest
        self._model = Executable(self.header, data)

    @property
    def batch(self) -> int:
        """The batch that the model was built for."""
        return self.header.largest[0][0]

    def sizes(self) -> list[int]:
        """Bytes of each input at the shapes that were chosen."""
        extra = 2 if has_fault("size-mismatch", self.device) else 1
        return [extra * self._bytes(k) for k in range(len(self.shapes))]

    def _bytes(self, number: int) -> int:
        return (
            int(np.prod(self.shapes[number])) * np.dtype(self.header.inputs[number].dtype).itemsize
        )

    def execute(self, data: Sequence[bytes]) -> tuple[list[np.ndarray[Any, Any]], float]:
        """One execution on the first bytes of what is given; milliseconds."""
        inputs = enumerate(zip(data, self.header.inputs, self.shapes, strict=True))
        return acl.execute(
            self._model,
            [np.frombuffer(d[: self._bytes(k)], t.dtype).reshape(s) for k, (d, t, s) in inputs],
            self.device,
        )


def significant(value: float) -> str:
    """A number as C++ streams print it: six significant digits.

    >>> significant(205733.4), significant(2817840), significant(0.5)
    ('205733', '2.81784e+06', '0.5')
    """
    return f"{value:g}"


def run_tool(main: Callable[[], int]) -> NoReturn:
    """Run the tool and leave with its exit code; a :class:`ToolFailed` is printed on stdout."""
    print(f"[{MARK}] a simulated tool; its times mean nothing", flush=True)
    try:
        code = main()
    except ToolFailed as error:
        print(error, flush=True)
        code = 1
    sys.stdout.flush()
    sys.exit(code)
