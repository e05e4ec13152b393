"""What runs on a host of the fleet: it takes the files of a step, runs the step as a process in a
folder that looks like the run directory, and gives back what the step made.

The folder has the names of the run directory. A file from outside of it, at ``/data/w.pth``, is in
the folder as ``.outside/data/w.pth``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from portproof.core.errors import EXIT_TOOL, PortProofError, sentence_for
from portproof.core.files import sha256_of
from portproof.core.interrupts import EXIT_INTERRUPTED
from portproof.core.shell import (
    die_with_parent,
    own_environment,
    start_program,
    stop_like_ctrl_c,
)
from portproof.core.yamlfile import data_folder
from portproof.fleet.file_store import Content, Piece, store_folder
from portproof.fleet.host_lock import host_locked
from portproof.rehearsal.installing import install

OUTSIDE = ".outside"
_STOPPING = (signal.SIGINT, signal.SIGTERM)
#: What decides the number of threads, and with it times and last bits. Ray sets some of them for
#: its workers; a step gets those of the driver.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A step for a host. ``key``: of its inputs and words, and the name of its folder. ``files``:
    name in the folder -> SHA-256. ``rehearse``: chip and number of chips to simulate, if at all.
    ``exclusive``: nothing else may run on the host.
    """

    key: str
    argv: tuple[str, ...]
    files: dict[str, str]
    environment: dict[str, str]
    rehearse: tuple[str, int | None] | None = None
    exclusive: bool = False


@dataclass(frozen=True)
class Made:
    """A file that a step made: its name in the folder, its size in bytes, and its hash."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Answer:
    """How a step ended: its exit code (negative: the signal that killed it), what it printed, and
    what it made. ``problem``: why it could not be run, in a sentence.
    """

    code: int
    output: str = ""
    made: tuple[Made, ...] = ()
    problem: str = ""


@dataclass
class Node:
    """The worker on a host, for one step at a time; the other calls come while it runs."""

    content: Content = field(default_factory=lambda: Content(store_folder()))
    _jobs: Path = field(default_factory=lambda: store_folder() / "jobs")
    _process: subprocess.Popen[str] | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _stderr: Path | None = None
    _said: int = 0
    _waits: bool = False

    def about(self) -> tuple[str, str, str]:
        """The host's name, the folder in which steps run, and the catalog of its own."""
        return socket.gethostname(), str(self._jobs), str(data_folder("models").parent)

    def lacks(self, hashes: Sequence[str]) -> list[str]:
        """The files that must be sent."""
        return self.content.lacks(hashes)

    def take(self, pieces: Sequence[Piece]) -> Answer:
        """Store pieces of files; the answer has a problem if that failed."""
        try:
            self.content.take(pieces)
            self.content.settle()
        except (OSError, PortProofError) as error:
            return _failed(error)
        return Answer(0)

    def perform(self, job: Job) -> Answer:
        """Run a step to its end."""
        folder = self._jobs / job.key
        try:
            self._lay_out(job, folder)
            with host_locked(job.exclusive, self._say_waiting, self._stopped.is_set) as lock:
                self._waits = False
                code, output = self._run(job, folder, lock)
            return Answer(code, output, self._made(job, folder))
        except (OSError, PortProofError) as error:
            return _failed(error)
        except KeyboardInterrupt:
            return Answer(EXIT_INTERRUPTED)

    def said(self) -> tuple[str, bool]:
        """What the step said on stderr since the last call, whole lines of it, and whether it waits
        for the host's lock.
        """
        if self._stderr is None or not self._stderr.is_file():
            return "", self._waits
        with open(self._stderr, "rb") as file:
            file.seek(self._said)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._said += len(whole)
        return whole.decode("utf-8", "replace"), self._waits

    def read(self, key: str, wanted: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Parts of files that a step made: name, offset and number of bytes of each."""
        found = []
        for name, offset, size in wanted:
            with open(self._jobs / key / name, "rb") as file:
                file.seek(offset)
                found.append(file.read(size))
        return found

    def stop(self) -> None:
        """End the step as Ctrl-C does; returns when nothing of it runs any more."""
        self._stopped.set()
        if self._process is not None:
            stop_like_ctrl_c([self._process])

    def forget(self, key: str) -> None:
        """Remove the folder of a step whose files have arrived at the driver."""
        shutil.rmtree(self._jobs / key, ignore_errors=True)

    def _say_waiting(self) -> None:
        self._waits = True

    def _lay_out(self, job: Job, folder: Path) -> None:
        for name, sha256 in job.files.items():
            self.content.lay(sha256, folder / name)

    def _run(self, job: Job, folder: Path, lock: int) -> tuple[int, str]:
        self._stderr, self._said = folder / ".said", 0
        environment = _environment(job, folder)
        with open(self._stderr, "wb") as stderr:
            self._process = start_program(
                [sys.executable, *job.argv],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                errors="replace",
                pass_fds=(lock,),
                start_new_session=True,
                preexec_fn=_begin,
            )
        if self._stopped.is_set():
            stop_like_ctrl_c([self._process])
        output, _ = self._process.communicate()
        code = self._process.returncode
        if self._stopped.is_set() or code == -signal.SIGINT:
            code = EXIT_INTERRUPTED
        return code, output

    def _made(self, job: Job, folder: Path) -> tuple[Made, ...]:
        """Every file in the folder that the driver did not send, in the order of their names."""
        found = []
        for place, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                relative = path.relative_to(folder).as_posix()
                if relative in job.files or name.startswith("."):
                    continue
                sha256 = sha256_of(path)
                self.content.keep(path, sha256)
                found.append(Made(relative, path.stat().st_size, sha256))
        return tuple(sorted(found, key=lambda made: made.path))


def _begin() -> None:
    """Runs in the new process: Ray's workers block Ctrl-C, and what they start would inherit it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    for number in _STOPPING:
        signal.signal(number, signal.SIG_DFL)
    die_with_parent()


def _environment(job: Job, folder: Path) -> dict[str, str]:
    """The host's own, with the driver's number of threads, and the simulated programs if asked."""
    kept = {name: value for name, value in os.environ.items() if name not in THREADS}
    if kept.get("CUDA_VISIBLE_DEVICES") == "":
        del kept["CUDA_VISIBLE_DEVICES"]  # Ray hides the GPUs of a claim that names none
    environment = own_environment(kept | job.environment)
    if job.rehearse:
        soc_version, chips = job.rehearse
        return install(folder / ".rehearsal", soc_version, environment, chips)
    return environment


def _failed(error: Exception) -> Answer:
    if isinstance(error, OSError):
        sentence, code = sentence_for(error)
        return Answer(code, problem=sentence)
    return Answer(getattr(error, "exit_code", EXIT_TOOL), problem=str(error))
