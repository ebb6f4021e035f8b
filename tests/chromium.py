"""A real headless Chromium for the tests of pages.

Needs Debian's ``chromium`` and ``chromium-driver`` (or another Chrome with its driver on PATH) and
selenium.
"""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

BROWSER = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
DRIVER = shutil.which('chromedriver')
MISSING = (
    'selenium is not installed'
    if importlib.util.find_spec('selenium') is None
    else None
    if BROWSER and DRIVER
    else 'no chromium with chromedriver is installed'
)
"""Why there is no browser, for a skip; None where there is one."""
ARGUMENTS = (
    *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
    *('--disable-dev-shm-usage', '--window-size=1300,1000'),
)


def start(profile: Path) -> Any:
    """Start the browser; logs of the console and of the network are kept."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*ARGUMENTS, f'--user-data-dir={profile}'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    return Chrome(options=options, service=Service(DRIVER))


def requests(driver: Any) -> list[str]:
    """Addresses that were asked for over the network since the last call."""
    rows = [json.loads(row['message'])['message'] for row in driver.get_log('performance')]
    sent = [r['params'] for r in rows if r['method'] == 'Network.requestWillBeSent']
    return [p['request']['url'] for p in sent if p['request']['url'].startswith('http')]
