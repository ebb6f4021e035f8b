"""The processes of runs: started, waited for, stopped."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RunFailed(Exception):
    """A run's process ended with an error; the message is the last line of its log."""


class Launcher:
    """Starts the processes of runs, and stops them.

    Args:
        launcher: 'none', or 'pytorch' for torchrun.
        processes: Of each run, with 'pytorch'. Default 1.
        threads: ``OMP_NUM_THREADS`` of each process, where the environment sets none.

    >>> Launcher().command('train', 'run.py')[1:]
    ['-m', 'dva_mm', 'train', 'run.py']
    """

    def __init__(self, launcher: str = 'none', processes: int = 1, threads: int = 0) -> None:
        self.launcher = launcher
        self.processes = processes
        self.variables = {'OMP_NUM_THREADS': str(threads)} if threads else {}
        self.stopped = False
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()

    def command(self, *arguments: str) -> list[str]:
        """The command line of one process, or of torchrun."""
        dva = ['-m', 'dva_mm', *arguments]
        if self.launcher == 'none':
            return [sys.executable, *dva]
        torchrun = ['-m', 'torch.distributed.run', '--standalone']
        torchrun += [f'--nproc_per_node={self.processes}']
        return [sys.executable, *torchrun, *dva, '--launcher', self.launcher]

    def call(self, log: Path, lock: int, *arguments: str) -> None:
        """Run a command to its end, its output appended to a log.

        The lock's file stays open in the processes, so that it is held as long as one of them
        lives.

        Raises:
            RunFailed: If it ended with an error.
            KeyboardInterrupt: If :meth:`stop` ended it.
        """
        with log.open('ab') as output, self._lock:
            if self.stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.variables, **os.environ},
                pass_fds=(lock,),
                process_group=0,  # Ctrl-C reaches this process alone, which stops them all
            )
            self._running.add(process)
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        if self.stopped:
            raise KeyboardInterrupt
        if code:
            raise RunFailed(last_line(log))

    def stop(self) -> None:
        """End all processes; each run's newest checkpoint stays."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in list(self._running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def last_line(log: Path) -> str:
    """The line of a log that says why it ended: the last error's, else the last of all.

    >>> import tempfile
    >>> log = Path(tempfile.mkdtemp()) / 'log.txt'
    >>> _ = log.write_text('step 1\\nerror: no such folder\\ntraceback: run.log\\n')
    >>> last_line(log)
    'error: no such folder'
    """
    lines = [line.strip() for line in log.read_text(errors='replace').splitlines() if line.strip()]
    errors = [line for line in lines[-50:] if re.match(r'(error:|[\w.]*(Error|Exception)\b)', line)]
    return (errors or lines or ['it ended without a word'])[-1]


@contextmanager
def locked(folder: Path, launcher: Launcher) -> Iterator[int]:
    """Hold the lock of a run's folder; wait for a process that is at work there.

    A study that was killed leaves its runs' processes at work: they hold the lock to their end.

    Raises:
        KeyboardInterrupt: If the launcher was stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT)
    waits = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if launcher.stopped:
                    raise KeyboardInterrupt from None
                if not waits:
                    print(f'waiting for the process that works in {folder}', flush=True)
                waits = True
                time.sleep(1)
        yield descriptor
    finally:
        os.close(descriptor)
