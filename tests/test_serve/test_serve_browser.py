"""The page in a real headless Chromium: upload, box, click-through, labels, mistakes, two users."""

import chromium
import pytest
from serving import HOSTILE, bomb, pair, png, texture

pytest.importorskip('gradio', reason='gradio is not installed')
pytestmark = pytest.mark.skipif(bool(chromium.MISSING), reason=str(chromium.MISSING))


MAPS = '#maps:not(.old) img'


@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    driver = chromium.start(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, server, tmp_path):
    """The page; at the end there must have been no message and no request to elsewhere."""
    driver.get('about:blank')
    driver.get_log('browser')
    chromium.requests(driver)
    page = Page(driver, server[0], tmp_path)
    yield page
    assert driver.execute_script('return 1') == 1  # an alert would make this raise
    assert driver.get_log('browser') == []
    sent = chromium.requests(driver)
    assert sent and all(url.startswith(f'{server[0]}/') for url in sent)
    assert not [url for url in sent if 'file=' in url]


class Page:
    """A window of one visitor."""

    def __init__(self, driver, address, folder):
        self.driver, self.folder = driver, folder
        driver.get(address)
        self.wait('index')

    def wait(self, text):
        """Until the line of state has a text."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60, 0.05).until(lambda _: text in self.text('#status'))

    def wait_for(self, selector):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60, 0.05).until(lambda _: self.all(selector))

    def all(self, selector):
        return self.driver.find_elements('css selector', selector)

    def texts(self, selector):
        script = 'return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)'
        return self.driver.execute_script(script, selector)

    def text(self, selector):
        return self.texts(selector)[0]

    def upload(self, content, name='query.png', expect='nearest'):
        file = self.folder / name
        file.write_bytes(content)
        self.all('#file')[0].send_keys(str(file))
        self.wait(expect)

    def drag(self, left, top, right, bottom):
        """Drag a box, in shares of the picture, with the mouse."""
        from selenium.webdriver import ActionChains

        self.wait_for(MAPS)  # until then the page still grows
        stage = self.all('#stage')[0]
        self.driver.execute_script('arguments[0].scrollIntoView()', stage)
        size = stage.size

        def place(x, y):
            return round((x - 0.5) * size['width']), round((y - 0.5) * size['height'])

        actions = ActionChains(self.driver, duration=30)
        actions.move_to_element_with_offset(stage, *place(left, top)).click_and_hold()
        actions.move_to_element_with_offset(stage, *place((left + right) / 2, bottom))
        actions.move_to_element_with_offset(stage, *place(right, bottom)).release().perform()

    def hits(self):
        labels = self.texts('#hits .label')
        names = [name.split('.')[0][:1] for name in self.texts('#hits .name')]
        return list(zip(labels, names, strict=True))

    def choose(self, number, text):
        from selenium.webdriver.support.ui import Select

        Select(self.all('#filters select')[number]).select_by_visible_text(text)


def test_upload_box_map_click_through_and_back(page):
    page.upload(png(pair()))
    assert page.text('#caption') == 'query.png'
    assert len(page.hits()) == 15 and 'whole picture' in page.text('#status')
    assert page.texts('#hits .rank') == [f'{rank}.' for rank in range(1, 16)]
    scores = [float(score) for score in page.texts('#hits .score')]
    assert scores == sorted(scores, reverse=True)
    page.wait_for(MAPS)

    page.drag(0.52, 0.02, 0.98, 0.98)
    page.wait('object in the box')
    assert page.hits()[0] == ('green', '2')
    assert page.all('#box')[0].is_displayed()
    box = page.driver.execute_script(
        "return ['left', 'top', 'width', 'height'].map(n => parseFloat(box.style[n]))"
    )
    assert box == pytest.approx([52, 2, 46, 96], abs=1.5)
    page.wait_for(MAPS)
    page.all('#whole')[0].click()
    page.wait('whole picture')
    assert not page.all('#box')[0].is_displayed()

    page.drag(0.48, 0.98, 0.02, 0.02)  # from the lower right to the upper left
    page.wait('object in the box')
    assert page.hits()[0] == ('red', '1')
    page.all('#hits .on')[0].click()
    page.wait('whole picture')
    assert page.text('#caption') == 'red · 1.png'
    assert len(page.hits()) == 14 and ('red', '1') not in page.hits()
    page.driver.back()
    page.wait('object in the box')
    assert page.text('#caption') == 'query.png' and page.hits()[0] == ('red', '1')


def test_an_example_a_label_and_the_number_of_hits(page):
    assert len(page.all('#examples button')) == 3
    page.all('#examples button')[0].click()
    page.wait('nearest')
    page.choose(0, 'green (5)')
    page.wait('nearest')
    page.wait_for(MAPS)
    assert {label for label, _ in page.hits()} == {'green'} and len(page.hits()) <= 5
    page.choose(0, 'all')
    page.wait('14 nearest')
    page.choose(1, '12')
    page.wait('12 nearest')
    assert len(page.hits()) == 12
    page.wait_for(MAPS)
    page.all('.why')[3].click()
    page.wait_for('.why[aria-pressed=true]')
    page.wait_for(f'{MAPS}[alt="hit 4"]')
    assert page.texts('.why[aria-pressed=true]') == ['why?']


@pytest.mark.parametrize(
    ('content', 'said'),
    [(b'hallo', 'no picture'), (bomb(), 'megapixels'), (b'x' * 300_001, 'too large')],
)
def test_what_cannot_be_searched_is_told_and_the_page_goes_on(page, content, said):
    page.upload(content, expect=said)
    assert 'wrong' in page.all('#status')[0].get_attribute('class')
    page.upload(png(texture(0, 1)))
    assert page.hits()[0] == ('red', '1') and page.all('#status.wrong') == []


def test_names_that_are_html_stay_text(page):
    assert page.driver.title == HOSTILE and page.text('h1') == HOSTILE
    assert f'{HOSTILE} (5)' in page.texts('#label option')
    page.upload(png(texture(2, 0)), f'{HOSTILE}.png')
    assert page.text('#caption') == f'{HOSTILE}.png'
    assert page.texts('#hits .label')[0] == HOSTILE
    assert page.texts('#hits .name')[0] == f'0{HOSTILE}.png'
    page.choose(0, f'{HOSTILE} (5)')
    page.wait('5 nearest')
    page.all('#hits .on')[0].click()
    page.wait('4 nearest')
    assert page.text('#caption') == f'{HOSTILE} · 0{HOSTILE}.png'
    assert len(page.all('script')) == 1 and not page.all('[onerror], [src=x]')


def test_two_visitors_do_not_see_each_other(page, server, tmp_path):
    driver = page.driver
    first = driver.current_window_handle
    driver.switch_to.new_window('window')
    second = driver.current_window_handle
    other = Page(driver, server[0], tmp_path)
    other.upload(png(texture(0, 1)), 'mine.png')
    driver.switch_to.window(first)
    page.upload(png(texture(1, 2)), 'yours.png')
    page.drag(0.05, 0.05, 0.95, 0.5)
    page.wait('object')
    driver.switch_to.window(second)
    assert other.text('#caption') == 'mine.png' and other.hits()[0] == ('red', '1')
    other.choose(0, 'red (5)')
    other.wait('5 nearest')
    driver.close()
    driver.switch_to.window(first)
    assert page.text('#caption') == 'yours.png' and len(page.hits()) == 15
    assert page.hits()[0][0] == 'green'


@pytest.mark.parametrize('width', [390, 1300])
def test_the_page_fits_its_window(page, width):
    metrics = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    page.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    try:
        page.upload(png(pair()))
        wide = page.driver.execute_script('return document.documentElement.scrollWidth')
        over = page.driver.execute_script(
            'return [...document.querySelectorAll("#hits li")]'
            '.some(e => e.scrollWidth > e.clientWidth)'
        )
        page.wait_for(MAPS)
    finally:
        page.driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
    assert wide <= width and not over
