"""Pages in a real headless Chromium: no errors, filters, paging, names as text."""

import chromium
import numpy as np
import pytest
from pages import BREAKOUT, HOSTILE, QUOTES, square, ten_queries

from dva_mm.visualization.page import (
    Answers,
    Shown,
    hits_page,
    make_page,
    map_section,
    pictures_section,
    ranking_section,
)

pytestmark = pytest.mark.skipif(bool(chromium.MISSING), reason=str(chromium.MISSING))


@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    driver = chromium.start(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(driver, tmp_path):
    """Open a page; at the end there must have been no message, dialogue or request."""

    def load(page):
        file = tmp_path / 'page.html'
        file.write_text(page, encoding='utf-8')
        driver.get(file.as_uri())
        return Page(driver)

    driver.get('about:blank')
    for kind in ('browser', 'performance'):
        driver.get_log(kind)
    yield load
    # An alert would make this raise.
    assert driver.execute_script('return 1') == 1
    assert driver.get_log('browser') == []
    assert chromium.requests(driver) == []


class Page:
    def __init__(self, driver):
        self.driver = driver

    def all(self, selector):
        return self.driver.find_elements('css selector', selector)

    def texts(self, selector):
        # In one go: the page may be drawn anew between two questions.
        script = 'return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)'
        return self.driver.execute_script(script, selector)

    def choose(self, name, text):
        from selenium.webdriver.support.ui import Select

        Select(self.all(f'.filters [name={name}]')[0]).select_by_visible_text(text)

    def click(self, text, selector='button'):
        next(found for found in self.all(selector) if text in found.text).click()

    def queries(self):
        """File names of the queries on this page of the list."""
        return self.texts('.query > figure .file')

    def recall(self):
        rows = [row.text.split() for row in self.all('.recall tr')]
        return {row[0]: [float(value) for value in row[1:] if value != '%'] for row in rows[1:]}


@pytest.fixture
def ten(open_page):
    return open_page(make_page('Ten', [ranking_section(*ten_queries(), ks=(1, 2, 4))]))


def test_the_hardest_failures_come_first_framed_and_marked(ten):
    assert ten.queries()[:2] == ['00.jpg', '03.jpg']
    assert ten.recall() == {'frozen': [0, 100, 100], 'ICA': [80, 90, 100]}
    row = ten.all('.query')[0].find_elements('css selector', '.hits')[1]
    hits = row.find_elements('css selector', 'figure')
    assert [hit.get_attribute('class') for hit in hits] == ['wrong', 'wrong', 'right']
    assert [hit.find_element('css selector', '.mark').text for hit in hits] == ['✗', '✗', '✓']
    assert [hit.text.split('\n')[1:] for hit in hits][0] == ['0.900', 'odd', '01.jpg']
    frames = {
        hit.find_element('css selector', 'img').value_of_css_property('border-style')
        for hit in hits
    }
    assert frames == {'dashed', 'solid'}  # not by colour alone
    widths = [hit.find_element('css selector', 'img').get_property('naturalWidth') for hit in hits]
    assert widths == [16, 16, 16]


@pytest.mark.parametrize(
    'name, choice, left, at_1',
    [
        ('label', 'odd', ['03', '01', '05', '07', '09'], 80.0),
        ('outcome', 'first answer wrong', ['00', '03'], 0.0),
        ('outcome', 'first answer right', ['01', '02', '04', '05', '06', '07', '08', '09'], 100.0),
        (
            'outcome',
            'wrong by frozen, right by ICA',
            ['01', '02', '04', '05', '06', '07', '08', '09'],
            100.0,
        ),
        ('outcome', 'right by frozen, wrong by ICA', [], None),
    ],
)
def test_filters_choose_queries_and_their_recall(ten, name, choice, left, at_1):
    ten.choose(name, choice)
    assert ten.queries() == [f'{number}.jpg' for number in left]
    assert ten.texts('.chosen') == [f'{len(left)} of 10 queries']
    if at_1 is not None:
        assert ten.recall()['ICA'][0] == at_1
    ten.click('Clear')
    ten.driver.execute_async_script('setTimeout(arguments[0], 20)')
    assert len(ten.queries()) == 10


def test_the_text_filter_finds_parts_of_file_and_class_names(ten):
    field = ten.all('[name=text]')[0]
    field.send_keys('DIR/07')
    assert ten.queries() == ['07.jpg']
    field.clear()
    field.send_keys('even')
    assert sorted(ten.queries()) == ['00.jpg', '02.jpg', '04.jpg', '06.jpg', '08.jpg']


def test_a_confusion_and_a_bar_lead_to_their_queries(ten):
    assert ten.texts('.confusions li') == ['even found as odd, once', 'odd found as even, once']
    ten.click('odd found as even')
    assert ten.queries() == ['03.jpg']
    assert [bar.text.split('\n')[0] for bar in ten.all('.bar')] == ['even (5)', 'odd (5)']
    ten.click('even (5)')
    assert len(ten.queries()) == 5


def test_paging_shows_each_query_once(open_page):
    page = open_page(make_page('Many', [ranking_section(*ten_queries(46))]))
    page.choose('order', 'by file')
    seen = page.queries()
    buttons = {
        button.text: button.is_enabled()
        for button in page.all('.pager')[0].find_elements('css selector', 'button')
    }
    assert buttons == {'First': False, 'Previous': False, 'Next': True, 'Last': True}
    for _ in range(4):
        page.click('Next')
        seen += page.queries()
    assert seen == [f'{number:02d}.jpg' for number in range(46)]
    assert 'Page 5 of 5' in page.texts('.pager')[1]
    page.choose('size', '25')
    assert 'Page 1 of 2' in page.texts('.pager')[1] and len(page.queries()) == 25


def test_hostile_names_stay_text(open_page):
    names = [HOSTILE, BREAKOUT, QUOTES]
    images = [Shown(square(n), name, name) for n, name in enumerate([*names, *names])]
    row = Answers(HOSTILE, [[3, 4, 5]] * 3, [[0.5, 0.4, 0.3]] * 3)
    sections = [
        ranking_section(images, [0, 1, 2], [row], title=BREAKOUT, text=HOSTILE),
        map_section(images, np.arange(12).reshape(6, 2), title=HOSTILE),
        pictures_section([(name, [(square(1), name), (None, name)]) for name in names], HOSTILE),
    ]
    page = open_page(make_page(BREAKOUT, sections))
    assert page.driver.title == BREAKOUT
    assert page.texts('h2') == [BREAKOUT, HOSTILE, HOSTILE]
    assert set(page.texts('.query > figure .label')) == set(names)
    assert set(names) < set(page.texts('[name=label] option'))
    assert page.texts('.confusions li') == [
        f'{n} found as {HOSTILE}, once' for n in (BREAKOUT, QUOTES)
    ]
    assert page.texts('.pictures h3') == names
    assert len(page.all('script')) == 4 and not page.all('[onerror], [onmouseover], [src=x]')


def test_the_map_shows_the_picture_under_the_pointer(open_page):
    from selenium.webdriver import ActionChains

    images = [Shown(square(n), f'{n}.jpg', 'abc'[n]) for n in range(3)]
    page = open_page(make_page('Map', [map_section(images, np.array([[0, 0], [1, 1], [2, 2]]))]))
    canvas, tip = page.all('canvas')[0], page.all('.tip')[0]
    assert not tip.is_displayed()
    ActionChains(page.driver).move_to_element(canvas).perform()
    assert tip.is_displayed() and tip.text == 'b: 1.jpg'
    assert tip.find_element('css selector', 'img').get_property('naturalWidth') == 16
    ActionChains(page.driver).move_to_element_with_offset(canvas, 80, -60).perform()
    assert not tip.is_displayed()


def test_answers_without_classes_hide_what_needs_them(open_page):
    from dva_mm.retrieval import Hit

    hits = [Hit(1, 0.75, '/gone/a.jpg', 1, None, {}), Hit(2, 0.5, None, 2, None, {})]
    page = open_page(hits_page(square(9), hits))
    assert page.texts('.hits .file') == ['a.jpg', 'image 2']
    assert len(page.all('.hits .none')) == 2  # pictures that cannot be read
    assert not page.all('.mark, .right, .wrong')
    assert not any(found.is_displayed() for found in page.all('.labelled'))


@pytest.mark.parametrize('width', [390, 1300])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_a_page_fits_its_window_light_and_dark(open_page, driver, width, scheme):
    long = 'a_very_long_class_name_without_any_space_' * 4
    images = [Shown(square(n), f'{long}/{long}{n}.jpg', long) for n in range(9)]
    rows = [Answers(name, [[1, 2, 3, 4, 5, 6, 7, 8]], [[0.5] * 8]) for name in ('frozen', long)]
    sections = [
        ranking_section(images, [0], rows, title=long, text=long),
        pictures_section([(long, [(square(1), long)] * 4)], long),
        map_section(images, np.random.default_rng(0).random((9, 2))),
    ]
    media = dict(features=[dict(name='prefers-color-scheme', value=scheme)])
    driver.execute_cdp_cmd('Emulation.setEmulatedMedia', media)
    metrics = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    try:
        open_page(make_page(long, sections))
        wide = driver.execute_script('return document.documentElement.scrollWidth')
        back = driver.execute_script('return getComputedStyle(document.body).backgroundColor')
    finally:
        driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[]))
    assert wide <= width
    assert (sum(map(int, back[4:-1].split(','))) > 380) == (scheme == 'light')
