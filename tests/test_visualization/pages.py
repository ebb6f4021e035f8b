"""Pages with known contents, and what a page holds."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np

from dva_mm.visualization.page import Answers, Shown

HOSTILE = '<img src=x onerror=alert(1)>.jpg'
BREAKOUT = '</script><script>alert(2)</script>'
QUOTES = '" onmouseover="alert(3)" \'{{ 7 * 7 }}'


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def section_data(page):
    """The JSON of each section of a page, parsed as a browser does: up to the next </script."""
    blocks = re.findall(r'<script type="application/json"(.*?)>(.*?)</script', page, re.S)
    *sections, (mark, sources) = blocks
    assert 'sources' in mark
    sections, sources = [json.loads(text) for _, text in sections], json.loads(sources)
    assert len(set(sources)) == len(sources)
    for section in sections:
        for image in section['images']:
            image[2] = None if image[2] is None else sources[image[2]]
    return sections


def tags(page):
    """Each tag of a page with its attributes."""
    parser = _Tags()
    parser.feed(page)
    return parser.found


def visible(page):
    """The page without scripts and tags, entities resolved."""
    return html.unescape(
        re.sub(r'<script.*?</script>|<style.*?</style>|<[^>]*>', '', page, flags=re.S)
    )


def square(value):
    return np.full((12, 16, 3), value, np.uint8)


def ten_queries(count=10):
    """``count`` images of the classes even and odd; 'frozen' is wrong where 'ICA' is right.

    Of ICA, queries 0 and 3 fail: their first right answers come third and second.
    """
    images = [
        Shown(square(20 * n % 256), f'dir/{n:02d}.jpg', ('even', 'odd')[n % 2])
        for n in range(count)
    ]
    same = [[(n + step) % count for step in (2, 4)] for n in range(count)]
    other = [[(n + step) % count for step in (1, 3)] for n in range(count)]
    good = [[s[0], o[0], s[1]] for s, o in zip(same, other, strict=True)]
    good[0] = [other[0][0], other[0][1], same[0][0]]
    good[3] = [other[3][0], same[3][0], other[3][1]]
    bad = [[o[0], s[0], s[1]] for s, o in zip(same, other, strict=True)]
    scores = [[0.9, 0.8, 0.7]] * count
    return images, range(count), [Answers('frozen', bad, scores), Answers('ICA', good, scores)]
