'use strict';
// The page asks Gradio's HTTP API, as any client can. What it asks for is its whole state, kept in
// the browser's history: nothing of a visitor is kept on the server but the uploaded picture.
const at = (id) => document.getElementById(id);
const COUNTS = [12, 24, 48, 96];
const HEIGHT = 400; // most pixels of the query
const LOOKS = 'What in each picture makes it like the other one.';
let known = null; // what describe() tells
let asked = null; // {picture, item, box, label, count}
let turn = 0; // answers to earlier questions are passed over

function make(kind, options = {}, ...children) {
  const made = Object.assign(document.createElement(kind), options);
  made.append(...children);
  return made;
}

function image(source, text) {
  if (!source) return make('div', { className: 'none' });
  return make('img', { className: 'small', src: source, alt: text, draggable: false });
}

async function checked(sent) {
  if (sent.ok) return sent.json();
  const told = await sent.json().catch(() => ({}));
  const busy = sent.status === 503 ? 'too many are asking: try again in a moment' : null;
  throw Error(busy || told.error || told.detail || `the server answers ${sent.status}`);
}

async function ask(name, ...data) {
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ data });
  const sent = await fetch(`gradio_api/call/${name}`, { method: 'POST', headers, body });
  const { event_id: id } = await checked(sent);
  const stream = await (await fetch(`gradio_api/call/${name}/${id}`)).text();
  const events = [...stream.matchAll(/^event: (complete|error)\ndata: (.*)$/gm)];
  if (!events.length) throw Error('the server broke off');
  const [, event, text] = events.at(-1);
  const answer = JSON.parse(text);
  if (event === 'complete') return answer[0];
  throw Error((answer && answer.error) || 'the server failed');
}

function tell(text, wrong = false) {
  at('status').textContent = text;
  at('status').classList.toggle('wrong', wrong);
}

async function upload(file) {
  const most = known.limits.upload_bytes;
  if (file.size > most) throw Error(`this file is too large: at most ${most / 1e6} MB are taken`);
  const body = new FormData();
  body.append('files', file);
  const [path] = await checked(await fetch('gradio_api/upload', { method: 'POST', body }));
  return { path, orig_name: file.name, meta: { _type: 'gradio.FileData' } };
}

async function choose(file) {
  if (!file || !known) return;
  const mine = ++turn;
  tell('Uploading …');
  try {
    const picture = await upload(file);
    if (mine === turn) go({ picture, item: null, box: null });
  } catch (error) {
    if (mine === turn) tell(error.message, true);
  }
}

// Ask something new: of the label and the number of hits, as they are set.
function go(change) {
  const filters = { label: at('label').value, count: Number(at('count').value) };
  const state = { ...asked, ...filters, ...change };
  history.pushState(state, '');
  show(state);
}

async function show(state) {
  const mine = ++turn;
  const { picture, item, box, label, count } = state;
  const same = asked && asked.item === item && asked.picture?.path === picture?.path;
  tell('Searching …');
  for (const id of ['hits', 'maps']) at(id).classList.add('old'); // the page keeps its height
  try {
    if (!same) {
      const shown = await ask('show', picture, item);
      if (mine !== turn) return;
      await showQuery(shown, picture);
    }
    asked = state;
    at('label').value = label;
    at('count').value = count;
    draw(box);
    const labels = label === '' ? null : [known.names[label]];
    const { hits } = await ask('search', picture, item, box, labels, count);
    if (mine !== turn) return;
    showHits(hits);
    if (hits.length && at('looks').open) look(hits[0]);
    else at('maps').replaceChildren();
  } catch (error) {
    if (mine === turn) tell(error.message, true);
  }
}

async function showQuery(shown, picture) {
  at('stage').hidden = at('hint').hidden = !shown.picture;
  at('picture').src = shown.picture ?? 'data:,';
  if (shown.picture) {
    await at('picture').decode();
    const { naturalWidth: width, naturalHeight: height } = at('picture');
    at('stage').style.width = `min(100%, ${(HEIGHT * width) / height}px)`;
  }
  const names = shown.name === null ? [picture.orig_name] : [shown.label, shown.name.split('/').at(-1)];
  at('caption').textContent = names.filter((name) => name).join(' · ');
  at('caption').title = shown.name ?? '';
  at('query').hidden = at('looks').hidden = false;
  if (matchMedia('(max-width: 760px)').matches) at('samples').open = false;
}

function showHits(hits) {
  const what = asked.box ? 'the object in the box' : 'the whole picture';
  tell(hits.length ? `${hits.length} nearest to ${what}. Click one to search on.` : 'No hits.');
  at('hits').classList.remove('old');
  at('hits').replaceChildren(...hits.map((hit) => {
    const on = make('button', { type: 'button', className: 'on', title: hit.name },
      image(hit.picture, hit.name));
    on.addEventListener('click', () => {
      go({ picture: null, item: hit.id, box: null });
      at('title').scrollIntoView({ behavior: 'smooth' });
    });
    const line = make('div', { className: 'line' },
      make('span', { className: 'rank', textContent: `${hit.rank}.` }),
      make('span', { className: 'score', textContent: hit.score.toFixed(3) }));
    if (!known.no_looks && hit.picture) {
      const why = make('button', { type: 'button', className: 'why', textContent: 'why?' });
      why.title = 'Where the model looked';
      why.dataset.hit = hit.id;
      why.addEventListener('click', () => look(hit));
      line.append(why);
    }
    const label = make('div', { className: 'label', textContent: hit.label ?? '', title: hit.label ?? '' });
    const name = make('div', { className: 'name', textContent: hit.name.split('/').at(-1), title: hit.name });
    return make('li', {}, on, line, label, name);
  }));
}

async function look(hit) {
  if (known.no_looks || !hit.picture) {
    at('maps').replaceChildren();
    return;
  }
  const mine = turn;
  for (const why of document.querySelectorAll('.why'))
    why.setAttribute('aria-pressed', why.dataset.hit === String(hit.id));
  at('looks').open = true;
  at('look-text').textContent = 'Drawing …';
  try {
    const maps = await ask('look', hit.id, asked.picture, asked.item, asked.box);
    if (mine !== turn) return;
    const figure = (source, text) => make('figure', {}, make('img', { src: source, alt: text }), text);
    at('maps').replaceChildren(figure(maps.query, 'query'), figure(maps.hit, `hit ${hit.rank}`));
    at('maps').classList.remove('old');
    at('look-text').textContent = LOOKS;
  } catch (error) {
    if (mine !== turn) return;
    at('maps').replaceChildren();
    at('look-text').textContent = error.message;
  }
}

function draw(box) {
  at('box').hidden = at('whole').hidden = !box;
  if (!box) return;
  const [left, top, right, bottom] = box.map((share) => 100 * share);
  const sides = { left, top, width: right - left, height: bottom - top };
  for (const [name, share] of Object.entries(sides)) at('box').style[name] = `${share}%`;
}

function dragBoxes() {
  const stage = at('stage');
  let start = null;
  const place = (event) => {
    const area = stage.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return [share((event.clientX - area.left) / area.width), share((event.clientY - area.top) / area.height)];
  };
  const between = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
  stage.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    start = place(event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener('pointermove', (event) => start && draw(between(start, place(event))));
  stage.addEventListener('pointerup', (event) => {
    if (!start) return;
    const box = between(start, place(event));
    start = null;
    if (box[2] - box[0] > 0.02 && box[3] - box[1] > 0.02) go({ box });
    else draw(asked.box); // a click
  });
  stage.addEventListener('pointercancel', () => { start = null; draw(asked.box); });
  at('whole').addEventListener('click', () => go({ box: null }));
}

function takeFiles() {
  at('file').addEventListener('change', (event) => {
    choose(event.target.files[0]);
    event.target.value = ''; // the same file may be chosen again
  });
  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      at('drop').classList.toggle('over', name === 'dragover');
      if (name === 'drop') choose(event.dataTransfer.files[0]);
    });
  }
}

function describe() {
  document.title = at('title').textContent = known.title;
  known.names = Object.keys(known.labels);
  const [images, labels] = [known.images, known.names.length].map((n) => n.toLocaleString('en'));
  at('about').textContent = `Search ${images} images${known.names.length ? ` of ${labels} labels` : ''} by picture`;
  // By number: a label may be any text, '' too.
  at('label').append(...known.names.map((name, place) =>
    make('option', { value: place, textContent: `${name} (${known.labels[name]})` })));
  at('label').parentElement.hidden = !known.names.length;
  const most = known.limits.hits;
  at('count').append(...COUNTS.filter((count) => count < most).concat(most < 96 ? [most] : [])
    .map((count) => make('option', { value: count, textContent: count })));
  at('count').value = Math.min(24, most);
  at('samples').hidden = !known.examples.length;
  at('examples').append(...known.examples.map((item) => {
    const take = make('button', { type: 'button', title: item.label ?? item.name }, image(item.picture, item.name));
    take.addEventListener('click', () => go({ picture: null, item: item.id, box: null }));
    return make('li', {}, take);
  }));
  at('look-text').textContent = known.no_looks ? `No maps: ${known.no_looks}` : LOOKS;
  at('code').textContent = `from gradio_client import Client, handle_file

client = Client('${location.origin}')
answer = client.predict(picture=handle_file('query.jpg'), k=10, api_name='/search')
for hit in answer['hits']:
    print(hit['rank'], hit['score'], hit['label'], hit['name'])`;
}

async function begin() {
  try {
    known = await ask('describe');
  } catch (error) {
    tell(error.message, true);
    return;
  }
  describe();
  takeFiles();
  dragBoxes();
  for (const id of ['label', 'count']) at(id).addEventListener('change', () => asked && go({}));
  window.addEventListener('popstate', (event) => event.state && show(event.state));
  if (history.state) show(history.state);
  else tell('Choose a picture, or take one of the index.');
}

begin();
