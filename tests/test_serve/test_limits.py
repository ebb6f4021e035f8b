"""How much one address may ask for in a minute."""

import numpy as np
import pytest

from dva_mm.serve.limits import Rate


def test_no_more_than_the_rate_pass_in_any_minute_and_the_rest_are_told_when():
    now = 0.0
    rate = Rate(6, clock=lambda: now)
    passed = []
    for step in np.random.default_rng(0).random(500):
        now += step * 5
        wait = rate.wait('a')
        if wait == 0:
            passed.append(now)
            continue
        later = now + wait
        now, before = later - 1e-6, now
        assert rate.wait('a') > 0
        now = max(before, later + 1e-6)
        assert rate.wait('a') == 0
        passed.append(now)
    times = np.array(passed)
    within = [((times >= t) & (times < t + 60)).sum() for t in times]
    assert max(within) <= 12  # a full bucket, and what refills in a minute
    assert len(times) == pytest.approx(6 + now / 10, abs=2)  # all that could pass did


def test_addresses_do_not_share_and_few_are_remembered():
    now = 0.0
    rate = Rate(1, clock=lambda: now)
    assert rate.wait('a') == 0 and rate.wait('a') == 60 and rate.wait('b') == 0
    rate.MOST = 50
    for number in range(200):
        now += 2
        assert rate.wait(f'address {number}') == 0
    assert len(rate._buckets) <= 50


def test_without_a_limit_all_pass():
    rate = Rate(0, clock=lambda: 0.0)
    assert {rate.wait('a') for _ in range(1000)} == {0}


def test_an_idle_hour_saves_up_no_more_than_a_minute():
    now = 0.0
    rate = Rate(3, clock=lambda: now)
    rate.wait('a')
    now = 3600.0
    assert [rate.wait('a') == 0 for _ in range(4)] == [True, True, True, False]
