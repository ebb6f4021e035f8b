"""The record of a run, also of one that was cut."""

import json
from collections.abc import Callable
from pathlib import Path

from mmengine.runner import Runner

HOOK = {'default_hooks.run_record.type': 'RunRecordHook', 'train_cfg.max_epochs': 2}


def test_a_cut_run_gets_the_figures_that_it_lost_and_keeps_the_others(
    make_runner: Callable[..., Runner], tmp_path: Path
):
    make_runner(tmp_path, dict(HOOK)).train()
    file = tmp_path / 'record.json'
    whole = json.loads(file.read_text())
    adapters, proxies = 2 * 2 * 2 * 32 * 4, (3 + 1) * 32
    assert (whole['trainable'], whole['trainable_in_encoder']) == (adapters + proxies, adapters)
    assert whole['embedding'] == 32 and whole['memory_mb'] > 0
    assert [entry['epoch'] for entry in whole['epochs']] == [1, 2]
    assert all(entry['seconds'] >= entry['step_seconds'] > 0 for entry in whole['epochs'])
    figures = [whole['frozen'], *(entry['metrics'] for entry in whole['epochs'])]
    assert [*figures[0]] == [f'retrieval/Recall@{k}' for k in (1, 2, 4, 8)]
    assert figures[0] != figures[2]

    cut = json.loads(file.read_text())
    del cut['epochs'][1]  # killed after its last checkpoint, before its figures
    file.write_text(json.dumps(cut))
    make_runner(tmp_path, dict(HOOK), resume='auto').train()
    again = json.loads(file.read_text())
    assert [again['frozen'], *(entry['metrics'] for entry in again['epochs'])] == figures
