// The page: it asks the server once a second, and draws.

import * as api from './api.js';
import { Ask } from './ask.js';
import { Cars } from './cars.js';
import { LaneDialog } from './lane.js';
import { Model } from './model.js';
import { Plaza } from './plaza.js';
import { Trips } from './trips.js';
import { count, setText } from './words.js';

const $ = (id) => document.getElementById(id);
const every = 1000; // ms between questions

const model = new Model();
const dialog = new LaneDialog($('lane-dialog'), $('lane-title'), $('lane-body'), model);
const plaza = new Plaza($('columns'), model, (key) => dialog.open(key));
const cars = new Cars($('plaza'), $('roads'), $('cars'));
const trips = new Trips($('trips'), $('trips-none'), model, (trip) => {
  cars.play(trip);
  move(true);
  $('plaza').scrollIntoView({ block: 'nearest' });
});
const ask = new Ask($('ask'), {
  text: $('text'), collection: $('collection'), k: $('k'), tenant: $('tenant'), times: $('times'), outcome: $('outcome'), answerBox: $('answer'), hits: $('hits'),
}, wantKey);

// The theme: as the system has it, until somebody chooses.
const themes = ['system', 'light', 'dark'], dark = matchMedia('(prefers-color-scheme: dark)');
let theme = localStorage.getItem('lanewise.theme') || 'system';
function paint() {
  const effective = theme === 'system' ? (dark.matches ? 'dark' : 'light') : theme;
  document.documentElement.dataset.theme = effective;
  $('theme').textContent = { system: '◐', light: '☀', dark: '☾' }[theme];
  $('theme').setAttribute('aria-label', 'Colours: ' + (theme === 'system' ? 'as the system' : theme));
  $('theme').title = $('theme').getAttribute('aria-label');
  cars.colours = undefined;
  cars.layout();
}
$('theme').addEventListener('click', () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  localStorage.setItem('lanewise.theme', theme);
  paint();
});
dark.addEventListener('change', paint);

// Motion: on, unless the system asks for less of it.
let moving = !matchMedia('(prefers-reduced-motion: reduce)').matches, last = 0, awaited = false;
function move(on) {
  moving = on;
  cars.paused = !on;
  $('motion').textContent = on ? 'Pause' : 'Drive';
  $('motion').setAttribute('aria-pressed', String(!on));
  next();
}
function next() {
  if (awaited || !moving) return;
  awaited = true;
  requestAnimationFrame((now) => {
    awaited = false;
    cars.frame(now - (last || now));
    last = now;
    if (cars.playing.length > 0) next();
    else last = 0;
  });
}
$('motion').addEventListener('click', () => move(!moving));
$('scale').addEventListener('change', () => { cars.scale = $('scale').value; });

// The key.
function wantKey(why) {
  $('key-note').textContent = why || 'It is kept in this tab until you close it, and sent to this server only. The lanes take a key of the scope admin.';
  if (!$('key-dialog').open) $('key-dialog').showModal();
}
$('key-button').addEventListener('click', () => wantKey());
$('key-form').addEventListener('submit', () => {
  api.key.set($('key').value.trim());
  $('key').value = '';
  refusedBefore = '';
  tick();
});
$('key-forget').addEventListener('click', () => {
  api.key.set('');
  $('key-dialog').close();
});
$('lane-close').addEventListener('click', () => $('lane-dialog').close());

// The questions.
let first = true, refusedBefore = '', asking = false, timer = 0;
function status(state, text) {
  if ($('status').dataset.state !== state) $('status').dataset.state = state;
  setText($('status'), text);
}

function show(topology, requests) {
  model.look(topology);
  const heard = model.hear(requests);
  model.forget();
  const a = topology.admission;
  setText($('fact-busy'), `${count(a.busy)} of ${count(a.limit)}`);
  setText($('fact-queued'), count(a.queued));
  setText($('fact-points'), count(topology.collections.reduce((sum, c) => sum + c.points, 0)));
  setText($('fact-epoch'), count(topology.epoch));
  ask.offer(topology.collections);
  if (plaza.draw()) cars.layout();
  cars.queue(a.queued);
  heard.forEach((trip) => cars.learn(trip));
  drive(heard);
  trips.draw();
  if (dialog.dialog.open) dialog.draw();
  setText($('pace'), pace());
}

// drive sends the new trips onto the road, as far apart as they came. Of those before the page was opened
// the last few are shown.
function drive(heard) {
  const now = performance.now();
  const fresh = heard.filter((trip) => trip.fresh && (!first || now - trip.began < 60e3));
  const some = first ? fresh.slice(-5) : fresh;
  some.forEach((trip, i) => cars.play(trip, first ? 300 * i : Math.max(0, every + 100 - (now - trip.began))));
  first = false;
  next();
}

function pace() {
  if (cars.took.length === 0) return 'Cars are calls of upstreams. There were none yet.';
  const factor = cars.factor({ request: { took_ms: 0.1 } });
  const slower = factor < 1.5 ? 'as fast as it was' : `${count(factor)} times slower than it was`;
  return `Driven ${slower}, all by the same factor.` + (cars.skipped > 0 ? ` ${count(cars.drawn)} of ${count(cars.drawn + cars.skipped)} requests are drawn.` : '');
}

async function tick() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  const key = api.key.get(), same = () => api.key.get() === key;
  try {
    const [topology, requests] = await Promise.all([api.topology(), api.requests(model.next)]);
    show(topology, requests);
    status('live', 'live');
    refusedBefore = '';
  } catch (err) {
    if (same()) refuse(err); // else it was asked with another key
  } finally {
    asking = false;
    if (!document.hidden) timer = setTimeout(tick, same() ? every : 0);
  }
}

function refuse(err) {
  if (!(err instanceof api.Refusal)) {
    status('away', 'the server does not answer');
    if (!(err instanceof TypeError)) console.error(err);
    return;
  }
  status('away', err.status === 401 ? 'needs a key' : err.message);
  if (err.status === 401 && refusedBefore !== err.message) wantKey(err.message);
  refusedBefore = err.message;
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) tick(); });
paint();
move(moving);
tick();
