"""A real headless Chromium, for tests of pages."""

import json
import shutil
from pathlib import Path

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
ARGUMENTS = (
    *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
    '--disable-dev-shm-usage',
)


def start_chromium(profile: Path):
    """A driver that keeps what pages say and ask for; the test is skipped without a browser."""
    pytest.importorskip('selenium', reason='selenium is not installed')
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    driver = shutil.which('chromedriver')
    if not (browser and driver):
        pytest.skip('no chromium with chromedriver is installed')
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = browser
    for argument in (*ARGUMENTS, f'--user-data-dir={profile}'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    return Chrome(options=options, service=Service(driver))


def set_width(driver, width: int, height: int = 844) -> None:
    """Show pages at this width in CSS pixels, also below what a window can have."""
    size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)


def requested(driver) -> list[str]:
    """Addresses that pages have asked for since the last call."""
    messages = [json.loads(row['message'])['message'] for row in driver.get_log('performance')]
    sent = [m['params'] for m in messages if m['method'] == 'Network.requestWillBeSent']
    return [params['request']['url'] for params in sent]
