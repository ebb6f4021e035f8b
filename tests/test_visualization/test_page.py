"""Pages as text: what they hold, and that names stay names."""

import base64
import hashlib
import re

import numpy as np
import pytest
from pages import BREAKOUT, HOSTILE, QUOTES, section_data, square, tags, ten_queries, visible

from dva_mm.retrieval import Hit
from dva_mm.visualization.page import (
    Answers,
    Shown,
    hits_page,
    make_page,
    map_section,
    pictures_section,
    ranking_page,
    ranking_section,
)


def test_a_page_holds_queries_hits_scores_and_the_rank_of_the_first_right_answer():
    images, queries, answers = ten_queries()
    (data,) = section_data(ranking_page(images, queries, answers, ks=(1, 2)))
    names = [name for name, _, _ in data['images']]
    assert [names[query] for query in data['queries']] == [image.name for image in images]
    assert data['ks'] == [1, 2]
    assert data['classes'] == ['even', 'odd']
    frozen, ica = data['rows']
    assert (frozen['name'], ica['name']) == ('frozen', 'ICA')
    assert frozen['first'] == [2] * 10
    assert ica['first'] == [3, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert [names[hit] for hit in ica['hits'][0]] == ['dir/01.jpg', 'dir/03.jpg', 'dir/02.jpg']
    assert ica['scores'][0] == [0.9, 0.8, 0.7]


def test_a_thumbnail_is_held_once_and_only_of_what_is_shown():
    images = [Shown(square(n), f'{n}.jpg', 'a') for n in range(50)]
    hits = [[7, 8], [8, 7], [7, 3]]
    rows = [Answers('x', hits, [[0.5, 0.4]] * 3)]
    again = map_section([images[7], images[3]], np.eye(2))
    page = make_page('', [ranking_section(images, [3, 7, 8], rows), again])
    assert page.count('data:image/jpeg') == 3
    data, points = section_data(page)
    assert [image[2] for image in points['images']] == [again.data['images'][n][2] for n in (0, 1)]
    assert [name for name, _, _ in data['images']] == ['3.jpg', '7.jpg', '8.jpg']
    assert data['rows'][0]['hits'] == [[1, 2], [2, 1], [1, 0]]


@pytest.mark.parametrize('known', [[None, 'a'], ['a', None], [None, None]])
def test_an_unknown_class_is_neither_right_nor_wrong(known):
    images = [Shown(None, 'q', known[0]), Shown(None, 'h', known[1])]
    (data,) = section_data(ranking_page(images, [0], [Answers('x', [[1]], [[0.5]])]))
    assert data['rows'][0]['first'] == [None]


def test_a_model_that_answers_another_number_of_queries_is_refused():
    with pytest.raises(ValueError, match='ICA'):
        ranking_section([Shown(None, 'a')], [0], [Answers('ICA', [[], []], [[], []])])


@pytest.mark.parametrize('name', [HOSTILE, BREAKOUT, QUOTES, 'a\nb', '\u2028', 'ü', '{% raw %}'])
def test_names_stay_text_in_every_part(name):
    images = [Shown(None, name, name), Shown(square(3), name, name)]
    row = Answers(name, [[1]], [[0.5]])
    sections = [
        ranking_section(images, [0], [row], title=name, text=name),
        map_section(images, np.array([[0, 1], [1, 0]]), title=name, text=name),
        pictures_section([(name, [(square(1), name), (None, name)])], name, name),
    ]
    page, plain = (
        make_page(name, sections),
        make_page('x', [s._replace(title='x') for s in sections]),
    )
    ranking, mapped = section_data(page)
    assert ranking['images'][0][0] == mapped['images'][0][0] == ranking['classes'][0] == name
    assert ranking['rows'][0]['name'] == name
    # Titles, captions and attributes hold the name itself, and no tag or attribute comes from it.
    squeezed = re.sub(r'\s+', ' ', name).strip()
    assert re.sub(r'\s+', ' ', visible(page)).count(squeezed) >= 9
    assert [(tag, sorted(attrs)) for tag, attrs in tags(page)] == [
        (tag, sorted(attrs)) for tag, attrs in tags(plain)
    ]
    alts = [attrs.get('alt') for tag, attrs in tags(page) if tag == 'img']
    assert name in [alt and alt.replace('\r\n', '\n') for alt in alts]


def test_a_name_that_is_no_utf8_can_be_written():
    name = b'caf\xe9.jpg'.decode('utf-8', 'surrogateescape')
    page = make_page(name, [ranking_section([Shown(None, name)], [0], [Answers('x', [[]], [[]])])])
    assert page.encode('utf-8')


def test_a_page_loads_nothing_and_runs_its_own_script_alone():
    page = ranking_page(*ten_queries())
    policy = next(a['content'] for t, a in tags(page) if 'http-equiv' in a)
    assert "default-src 'none'" in policy
    script = re.findall(r'<script>(.*?)</script>', page, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    addresses = [a[name] for _, a in tags(page) for name in ('src', 'href') if name in a]
    assert all(address.startswith(('data:', '#')) for address in addresses)
    assert 'http' not in script and 'innerHTML' not in script


def test_five_thousand_queries_stay_below_fifty_megabytes():
    count = 5000
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    images = [Shown(None, f'some/folder/{n}.jpg', f'class {n % 100}') for n in range(count)]
    hits = [[(n + step) % count for step in range(1, 11)] for n in range(count)]
    rows = [Answers(name, hits, [[0.1234] * 10] * count) for name in ('frozen', 'ICA')]
    section = ranking_section(images, range(count), rows)
    largest = pictures_section([('', [(noise, '')])], '').data['rows'][0]['cells'][0]['src']
    page = len(make_page('x', [section])) + count * len(largest)
    assert page < 2 * 50e6  # noise is the worst that a JPEG can be; photographs take a third
    assert len(make_page('x', [section])) < 5e6


def test_points_of_a_map_fill_the_unit_square():
    images = [Shown(None, str(n), 'a') for n in range(3)]
    section = map_section(images, np.array([[-5.0, 7], [5, 7], [0, 9]]))
    assert section.data['points'] == [[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]]


def test_hits_of_one_query_and_of_a_list_make_a_page():
    first = Hit(1, 0.75, '/photos/rose 1.jpg', 4, 'rose', {})
    second = Hit(2, 0.5, None, 9, None, {})
    (data,) = section_data(hits_page('query.jpg', [first, second]))
    assert [image[0] for image in data['images']] == ['query.jpg', '/photos/rose 1.jpg', 'image 9']
    assert data['rows'][0]['scores'] == [[0.75, 0.5]]
    assert data['rows'][0]['first'] == [None]
    (data,) = section_data(hits_page(['a.jpg', square(5)], [[first], [first]]))
    assert [image[0] for image in data['images']] == ['a.jpg', 'query 2', '/photos/rose 1.jpg']
    assert data['rows'][0]['hits'] == [[2], [2]]
    assert data['images'][1][2].startswith('data:image/jpeg')
