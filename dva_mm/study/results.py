"""The file of a study's results: JSON lines, headers and one line a run."""

import json
import os
from collections.abc import Iterable
from pathlib import Path


def read_results(file: str | Path) -> tuple[dict | None, list[dict]]:
    """The newest header and the lines of all runs, in the order in which they were written.

    Args:
        file: ``results/NAME.jsonl``; one that does not exist has no lines.

    Raises:
        ValueError: If a line is no JSON; names it. A last line that was cut is left out.

    >>> read_results('nowhere.jsonl')
    (None, [])
    """
    file = Path(file)
    lines = file.read_text(encoding='utf-8').split('\n') if file.is_file() else ['']
    header, runs = None, []
    for number, line in enumerate(lines[:-1], start=1):  # after the last line end: cut, or empty
        try:
            entry = json.loads(line)
            if entry['kind'] == 'header':
                header = entry
            else:
                runs.append(entry)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{file}, line {number} is no result of a study ({error}); take the line out'
            ) from error
    return header, runs


def append_result(file: str | Path, entry: dict) -> None:
    """Append one line, whole or not at all, also beside other processes that append.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / 'birds.jsonl'
    >>> append_result(file, dict(kind='run', row='DVA'))
    >>> read_results(file)[1]
    [{'kind': 'run', 'row': 'DVA'}]
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(entry, ensure_ascii=False) + '\n'
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b'\n':  # a line that was cut
            whole = os.pread(descriptor, size, 0).rfind(b'\n') + 1
            os.ftruncate(descriptor, whole)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_header(file: str | Path, header: dict) -> None:
    """Append a header, unless the newest one is the same."""
    if read_results(file)[0] != json.loads(json.dumps(header)):
        append_result(file, header)


def find_result(runs: Iterable[dict], identity: dict) -> dict | None:
    """The newest line with these fields, or None.

    >>> find_result([dict(row='a', seed=0), dict(row='a', seed=1)], dict(seed=1))
    {'row': 'a', 'seed': 1}
    """
    wanted = json.loads(json.dumps(identity))
    same = [run for run in runs if all(run.get(k) == v for k, v in wanted.items())]
    return same[-1] if same else None


def rows_of(header: dict, runs: Iterable[dict]) -> dict[str, list[dict]]:
    """The runs that count, by label: of each row's newest config and data, the newest a seed.

    >>> runs = [dict(kind='run', row='a', seed=s, config_hash='c', data_hash='d') for s in (1, 0)]
    >>> [run['seed'] for run in rows_of(dict(rows=[dict(label='a')]), runs)['a']]
    [0, 1]
    """
    found = {}
    for label in (row['label'] for row in header['rows']):
        of_row = [run for run in runs if run['kind'] == 'run' and run['row'] == label]
        newest = [of_row[-1][key] for key in ('config_hash', 'data_hash')] if of_row else None
        same = {r['seed']: r for r in of_row if [r['config_hash'], r['data_hash']] == newest}
        found[label] = [same[seed] for seed in sorted(same)]
    return found
