'use strict';
// Names reach the document as text alone: textContent, option labels, alt and title.

function element(tag, options = {}, ...children) {
  const made = Object.assign(document.createElement(tag), options);
  made.append(...children);
  return made;
}

const sources = JSON.parse(document.getElementById('sources').textContent);

function option(value, text) { return element('option', { value, textContent: text }); }
function share(part, whole) { return whole ? (100 * part / whole).toFixed(1) + ' %' : '–'; }
function fileName(name) { return name.split('/').pop() || name; }

function picture(image, alt) {
  return image[2] === null
    ? element('span', { className: 'none', title: alt })
    : element('img', { src: sources[image[2]], alt });
}

function ranking(root, data) {
  const { classes, images, queries, rows, ks } = data;
  const ours = rows[rows.length - 1];
  const find = selector => root.querySelector(selector);
  const form = find('.filters');
  const className = label => label < 0 ? '' : classes[label];
  const labelOf = query => images[queries[query]][1];
  const isHit = (row, query) => row.first[query] === 1;
  const answered = queries.map((_, query) => ours.first[query] !== null);
  const any = answered.some(Boolean);
  const two = rows.length > 1 && any;
  root.classList.toggle('bare', !any);
  let found = null;
  let page = 0;

  const labels = [...new Set(queries.map((_, query) => labelOf(query)))].filter(label => label >= 0);
  labels.sort((a, b) => classes[a].localeCompare(classes[b]));
  form.label.append(option('', 'all'), ...labels.map(label => option(label, classes[label])));
  form.outcome.append(option('', 'all'), option('miss', 'first answer wrong'),
    option('hit', 'first answer right'), option('lost', `none of the first ${ours.hits[0]?.length ?? 0} right`));
  if (two) form.outcome.append(option('gained', `wrong by ${rows[0].name}, right by ${ours.name}`),
    option('worse', `right by ${rows[0].name}, wrong by ${ours.name}`));
  if (any) form.order.append(option('hard', 'hardest failures first'));
  if (two) form.order.append(option('gain', `gained most over ${rows[0].name}`));
  form.order.append(option('given', 'as given'), option('name', 'by file'));

  const outcomes = {
    miss: query => answered[query] && !isHit(ours, query),
    hit: query => answered[query] && isHit(ours, query),
    lost: query => answered[query] && ours.first[query] > ours.hits[query].length,
    gained: query => answered[query] && !isHit(rows[0], query) && isHit(ours, query),
    worse: query => answered[query] && isHit(rows[0], query) && !isHit(ours, query),
  };
  const orders = {
    hard: (a, b) => (ours.first[b] ?? -1) - (ours.first[a] ?? -1)
      || (ours.scores[b][0] ?? 0) - (ours.scores[a][0] ?? 0),
    gain: (a, b) => (rows[0].first[b] - ours.first[b]) - (rows[0].first[a] - ours.first[a]),
    name: (a, b) => images[queries[a]][0].localeCompare(images[queries[b]][0]),
    given: (a, b) => a - b,
  };

  function select() {
    const text = form.text.value.trim().toLowerCase();
    const test = outcomes[form.outcome.value];
    return queries.map((_, query) => query).filter(query => {
      const [name, label] = images[queries[query]];
      return (form.label.value === '' || label === Number(form.label.value))
        && (!test || test(query))
        && (found === null || images[ours.hits[query][0]]?.[1] === found)
        && (!text || `${name}\n${className(label)}`.toLowerCase().includes(text));
    }).sort(orders[form.order.value]);
  }

  function figure(index, score, label) {
    const image = images[index];
    const known = score !== null && label >= 0 && image[1] >= 0;
    const right = known && image[1] === label;
    const verdict = known ? (right ? 'right' : 'wrong') : '';
    const caption = element('figcaption');
    if (score !== null) caption.append(element('span', { textContent: score.toFixed(3) }));
    for (const [text, kind] of [[className(image[1]), 'label'], [fileName(image[0]), 'file']]) {
      if (text) caption.append(element('span', { textContent: text, title: text, className: kind }));
    }
    const made = element('figure', { className: verdict, title: image[0] },
      picture(image, [verdict, className(image[1]), image[0]].filter(Boolean).join(', ')));
    if (known) made.append(element('span', { className: 'mark', textContent: right ? '✓' : '✗' }));
    made.append(caption);
    return made;
  }

  function card(query) {
    const label = labelOf(query);
    const answers = element('div');
    for (const row of rows) {
      const first = row.first[query];
      const where = first === null ? '' : `: first right answer at rank ${first}`;
      answers.append(element('p', { className: 'row-name', textContent: row.name + where }),
        element('div', { className: 'hits' },
          ...row.hits[query].map((hit, rank) => figure(hit, row.scores[query][rank], label))));
    }
    return element('article', { className: 'query' }, figure(queries[query], null, label), answers);
  }

  function recall(chosen) {
    const counted = chosen.filter(query => answered[query]);
    const head = element('tr', {}, element('th', { textContent: `${counted.length} queries` }),
      ...ks.map(k => element('th', { textContent: `R@${k}` })));
    const body = rows.map(row => element('tr', {},
      element('th', {}, element('i', { className: row === ours ? 'ours' : '' }), row.name),
      ...ks.map(k => element('td', {
        textContent: share(counted.filter(query => row.first[query] <= k).length, counted.length),
      }))));
    find('.recall').replaceChildren(head, ...body);
  }

  function show(keepPage = false) {
    const chosen = select();
    const size = Number(form.size.value);
    const pages = Math.max(1, Math.ceil(chosen.length / size));
    page = keepPage ? Math.min(Math.max(page, 0), pages - 1) : 0;
    find('.chosen').textContent = `${chosen.length} of ${queries.length} queries`
      + (found === null ? '' : `, first answer a ${className(found)}`);
    recall(chosen);
    find('.queries').replaceChildren(...chosen.slice(page * size, (page + 1) * size).map(card));
    const steps = [['First', 0], ['Previous', page - 1], ['Next', page + 1], ['Last', pages - 1]];
    for (const pager of root.querySelectorAll('.pager')) {
      const buttons = steps.map(([textContent, target]) => element('button', {
        type: 'button', textContent, disabled: target === page || target < 0 || target >= pages,
        onclick: () => { page = target; show(true); form.scrollIntoView(); },
      }));
      pager.replaceChildren(...buttons, element('span', { textContent: `Page ${page + 1} of ${pages}` }));
    }
  }

  function choose(label, answer = null) {
    form.reset();
    form.label.value = label;
    found = answer;
    show();
    form.scrollIntoView();
  }

  function bars() {
    const counts = new Map(labels.map(label => [label, { all: 0, hits: rows.map(() => 0) }]));
    queries.forEach((_, query) => {
      if (!answered[query]) return;
      const count = counts.get(labelOf(query));
      count.all += 1;
      rows.forEach((row, i) => { count.hits[i] += isHit(row, query); });
    });
    const part = (count, i) => count.hits[i] / count.all;
    const sorted = [...counts].filter(([, count]) => count.all)
      .sort((a, b) => part(a[1], rows.length - 1) - part(b[1], rows.length - 1));
    find('.bars').append(...sorted.slice(0, 300).map(([label, count]) => {
      const tracks = rows.map((row, i) => {
        const bar = element('i');
        bar.style.width = 70 * part(count, i) + '%';
        return element('div', { className: row === ours ? 'track ours' : 'track', title: row.name },
          bar, share(count.hits[i], count.all));
      });
      return element('div', { className: 'bar' },
        element('button', { type: 'button', className: 'link',
          textContent: `${className(label)} (${count.all})`, onclick: () => choose(label) }),
        element('div', {}, ...tracks));
    }));
  }

  function confusions() {
    const counts = new Map();
    queries.forEach((_, query) => {
      if (!outcomes.miss(query)) return;
      const key = `${labelOf(query)} ${images[ours.hits[query][0]][1]}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 100);
    find('.confusions').append(...sorted.map(([key, count]) => {
      const [asked, answer] = key.split(' ').map(Number);
      const times = count === 1 ? 'once' : `${count} times`;
      return element('li', {}, element('button', { type: 'button', className: 'link',
        textContent: `${className(asked)} found as ${className(answer)}, ${times}`,
        onclick: () => choose(asked, answer) }));
    }));
    if (!sorted.length) find('.confusions').append('nothing: each first answer is right');
  }

  for (const field of form.elements) {
    field.addEventListener(field === form.text ? 'input' : 'change', () => show());
  }
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('reset', () => { found = null; setTimeout(show); });
  if (any) { bars(); confusions(); }
  show();
}

function map(root, data) {
  const { classes, images, points } = data;
  const [canvas, tip, select] = ['canvas', '.tip', 'select'].map(name => root.querySelector(name));
  const used = [...new Set(images.map(image => image[1]))].filter(label => label >= 0);
  used.sort((a, b) => classes[a].localeCompare(classes[b]));
  select.append(option('', 'all'), ...used.map(label => option(label, classes[label])));
  const colour = label => `hsl(${label < 0 ? 0 : label * 137.508 % 360} ${label < 0 ? 0 : 65}% 52%)`;
  let places = [];

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const pen = canvas.getContext('2d');
    pen.scale(ratio, ratio);
    places = points.map(([x, y]) => [12 + x * (width - 24), 12 + y * (height - 24)]);
    const chosen = select.value === '' ? null : Number(select.value);
    places.forEach(([x, y], i) => {
      pen.globalAlpha = chosen === null || images[i][1] === chosen ? 0.9 : 0.12;
      pen.fillStyle = colour(images[i][1]);
      pen.beginPath();
      pen.arc(x, y, 4, 0, 7);
      pen.fill();
    });
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [near, least] = [-1, 15];
    places.forEach((place, i) => {
      const distance = Math.hypot(place[0] - x, place[1] - y);
      if (distance < least) [near, least] = [i, distance];
    });
    tip.hidden = near < 0;
    if (near < 0) return;
    const [name, label, source] = images[near];
    tip.firstElementChild.src = sources[source] ?? 'data:,';
    tip.lastElementChild.textContent = label < 0 ? fileName(name) : `${classes[label]}: ${fileName(name)}`;
    tip.style.left = Math.min(x + 14, box.width - 150) + 'px';
    tip.style.top = Math.min(y + 14, box.height - 190) + 'px';
  }

  canvas.addEventListener('pointermove', point);
  canvas.addEventListener('pointerdown', point);
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  select.addEventListener('change', draw);
  window.addEventListener('resize', draw);
  draw();
}

for (const root of document.querySelectorAll('section.ranking, section.map')) {
  const data = JSON.parse(root.querySelector('script').textContent);
  (root.classList.contains('map') ? map : ranking)(root, data);
}
