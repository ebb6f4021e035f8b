"""The runs of a study one after another, or several at once; what is done is left out."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from statistics import mean

from .launcher import Launcher, RunFailed, locked
from .matrix import Row, Run, Study, final_runs, trial_runs
from .results import append_result, find_result, put_header, read_results, rows_of
from .run import Place, execute, hash_data


class Schedule:
    """Runs what of a study is not in its results yet.

    Args:
        study: The study.
        results: Its file of results, ``NAME.jsonl``.
        work_dir: Folder of its runs.
        launcher: What starts the processes.
        jobs: Runs at once. Default 1.
    """

    def __init__(
        self, study: Study, results: Path, work_dir: Path, launcher: Launcher, jobs: int = 1
    ) -> None:
        self.study = study
        self.results = results
        self.work_dir = work_dir
        self.launcher = launcher
        self.jobs = jobs
        self.failed: list[str] = []
        self.done = self.total = 0
        self.begun = 0.0
        self.seconds: list[float] = []

    def run(self, rows: Sequence[Row]) -> bool:
        """Run the trials of these rows, choose, and run what counts; False if a run failed.

        Raises:
            FileNotFoundError, ValueError: As the data sets do, before anything runs.
            KeyboardInterrupt: If interrupted; what is done stays.
        """
        lines = read_results(self.results)[1]
        waiting, later = [], 0
        for row in rows:
            trials = [r for r in trial_runs(self.study, row) if not self._find(r, lines)]
            finals = self._finals(row, lines) or final_runs(self.study, row)
            waiting += trials
            later += len(finals if trials else [r for r in finals if not self._find(r, lines)])
        self.total = len(waiting) + later
        print(f'{self.study.name}: {self.total} runs to do, results in {self.results}', flush=True)
        put_header(self.results, self.study.header())
        self._run_all(waiting)
        lines = read_results(self.results)[1]
        ready = []
        for row in rows:
            runs = self._finals(row, lines)
            if runs is None:
                self.failed.append(f'{row.label}: a trial failed, so nothing was chosen')
                continue
            ready += [run for run in runs if not self._find(run, lines)]
        self._run_all(ready)
        self._put_last(rows)
        for text in self.failed:
            print(f'failed: {text}', flush=True)
        return not self.failed

    def plan(self, rows: Sequence[Row]) -> list[tuple[Run, bool]]:
        """Each run of these rows, and whether its line is there; asks no data."""
        lines = read_results(self.results)[1]

        def find(run: Run) -> dict | None:
            return find_result(lines, run.identity(None))

        found = []
        for row in rows:
            trials = trial_runs(self.study, row)
            runs = trials + final_runs(self.study, row, choose(trials, find))
            found += [(run, find(run) is not None) for run in runs]
        return found

    def _find(self, run: Run, lines: list[dict]) -> dict | None:
        return find_result(lines, run.identity(hash_data(run)))

    def _finals(self, row: Row, lines: list[dict]) -> list[Run] | None:
        """The runs that count, or None as long as a trial is missing."""
        chosen = choose(trial_runs(self.study, row), lambda run: self._find(run, lines))
        return None if chosen is None else final_runs(self.study, row, chosen)

    def _put_last(self, rows: Sequence[Row]) -> None:
        """Repeat a line that was done before where a later one of other options would count."""
        header, lines = read_results(self.results)
        shown = rows_of(header, lines)
        for row in rows:
            found = [self._find(run, lines) for run in self._finals(row, lines) or ()]
            hidden = [line for line in found if line and line not in shown[row.label]]
            if hidden:
                append_result(self.results, hidden[-1])

    def _run_all(self, runs: Sequence[Run]) -> None:
        self.begun = self.begun or time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = {pool.submit(self._execute, run): run for run in runs}
            try:
                waiting = set(futures)
                while waiting:
                    done, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._report(futures[future], future.result())
            except BaseException:
                self.launcher.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _execute(self, run: Run) -> dict | RunFailed:
        identity = run.identity(hash_data(run))
        place = Place.of(self.work_dir, run, identity)
        with locked(place.folder, self.launcher) as lock:
            line = self._find(run, read_results(self.results)[1])
            if line is not None:  # another command was faster
                return line
            try:
                line = execute(run, place, identity, self.study.name, self.launcher, lock)
            except RunFailed as error:
                return RunFailed(f'{run.name}: {error} ({place.log})')
            except Exception as error:  # of reading what the run left; the others go on
                return RunFailed(f'{run.name}: {type(error).__name__}: {error} ({place.log})')
            append_result(self.results, line)
            return line

    def _report(self, run: Run, outcome: dict | RunFailed) -> None:
        self.done += 1
        left = (time.monotonic() - self.begun) / self.done * (self.total - self.done)
        end = f'; about {clock(left)} left' if self.done < self.total else ''
        if isinstance(outcome, RunFailed):
            self.failed.append(str(outcome))
            text = f'FAILED {outcome}'
        else:
            frozen = {} if run.row.frozen else outcome['frozen']
            text = f'{run.name}: {headline(self.study.metrics, outcome["metrics"], frozen)}'
        print(f'[{self.done}/{self.total}] {text}{end}', flush=True)


def headline(names: Sequence[str], metrics: dict, frozen: dict) -> str:
    """The first of the named figures that a run has, and the frozen encoder's where it has it.

    >>> headline(['MAP@R', 'Recall@1'], {'Recall@1': 81.25}, frozen={'Recall@1': 40.0})
    'Recall@1 81.25, frozen 40.00'
    >>> headline(['cars/Recall@1'], {'cars/Recall@1': 30.0}, frozen={'Recall@1': 40.0})
    'cars/Recall@1 30.00'
    """
    for name in names:
        if name in metrics:
            before = f', frozen {frozen[name]:.2f}' if name in frozen else ''
            return f'{name} {metrics[name]:.2f}{before}'
    return ''


def choose(trials: Sequence[Run], find: Callable[[Run], dict | None]) -> dict | None:
    """The options with the highest Recall@1 on held-out classes, the first of equals.

    That of several seeds is their mean.

    Args:
        trials: Of a row.
        find: Gives a trial's line of the results.

    Returns:
        The options; of no trials none: ``{}``. None as long as a line is missing.

    >>> choose([], find=lambda run: None)
    {}
    """
    lines = [find(run) for run in trials]
    if None in lines:
        return None
    recalls: dict[int, list[float]] = {}
    for run, line in zip(trials, lines, strict=True):
        recalls.setdefault(run.trial, []).append(line['metrics']['Recall@1'])
    # Rounded, since the means of equal counts may differ in their last bit.
    best = max(recalls, key=lambda number: round(mean(recalls[number]), 3), default=None)
    return {} if best is None else next(run.chosen for run in trials if run.trial == best)


def clock(seconds: float) -> str:
    """A time in words.

    >>> clock(40), clock(400), clock(40_000)
    ('40 s', '7 min', '11.1 h')
    """
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
