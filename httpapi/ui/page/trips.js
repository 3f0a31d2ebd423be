// The list of the last requests, and how each of them went.

import { ago, count, el, ms, percent, setText } from './words.js';

const shown = 12;

export class Trips {
  constructor(root, none, model, replay) {
    Object.assign(this, { root, none, model, replay, rows: new Map(), open: new Set() });
  }

  draw() {
    const last = [...this.model.trips.values()].filter((t) => t.request.route !== undefined || t.request.took_ms === undefined)
      .sort((a, b) => b.began - a.began).slice(0, shown);
    for (const id of this.open) { // what is looked at does not go away
      const trip = this.model.trips.get(id);
      if (trip && !last.includes(trip)) last.push(trip);
    }
    this.none.hidden = last.length > 0;
    const rows = last.map((trip) => this.row(trip));
    const there = [...this.root.children];
    if (rows.length !== there.length || rows.some((row, i) => row !== there[i])) this.place(rows);
    for (const id of this.rows.keys()) if (!last.some((t) => t.id === id)) this.rows.delete(id);
  }

  // place puts the rows in their order, without moving the one that has the focus.
  place(rows) {
    const focus = document.activeElement;
    this.root.replaceChildren(...rows);
    if (this.root.contains(focus)) focus.focus({ preventScroll: true });
  }

  row(trip) {
    let row = this.rows.get(trip.id);
    if (!row || row.request !== trip.request) {
      const fresh = this.make(trip);
      if (row && row.node.contains(document.activeElement)) queueMicrotask(() => fresh.querySelector('button').focus({ preventScroll: true }));
      row = { node: fresh, request: trip.request };
      this.rows.set(trip.id, row);
    }
    setText(row.node.querySelector('.when'), ago(trip.began));
    return row.node;
  }

  make(trip) {
    const r = trip.request, open = this.open.has(trip.id), under = r.took_ms === undefined;
    const button = el('button', {
      type: 'button', className: 'trip', 'aria-expanded': String(open), on: { click: () => this.toggle(trip) },
    },
      el('span', { className: 'what' }, under ? 'under way' : (r.route || '').replace(/^\/v1\//, '')),
      strip(r), el('span', { className: 'took' }, under ? '…' : ms(r.took_ms)),
      el('span', { className: 'tags' }, el('span', { className: 'when' }), ...tags(r)));
    const node = el('li', { data: { trip: trip.id } }, button);
    if (open) node.append(this.detail(trip));
    return node;
  }

  toggle(trip) {
    if (!this.open.delete(trip.id)) this.open.add(trip.id);
    this.rows.delete(trip.id);
    this.draw();
    this.root.querySelector(`[data-trip="${CSS.escape(trip.id)}"] button`)?.focus({ preventScroll: true });
  }

  detail(trip) {
    const r = trip.request;
    return el('div', { className: 'trip-open' },
      el('p', { className: 'note' }, ...merged(r)), gantt(r),
      el('div', { className: 'row' }, el('button', { type: 'button', className: 'plain', on: { click: () => this.replay(trip) } }, 'Drive it again'),
        el('p', { className: 'note' }, 'request ' + r.id + (r.trace_id ? ', trace ' + r.trace_id : ''))));
  }
}

// strip is the request's time, by its stages.
function strip(r) {
  const bar = el('span', { className: 'strip', 'aria-hidden': 'true' });
  let at = 0;
  for (const stage of r.stages) {
    const part = el('i', { data: { stage: stage.name }, title: stage.name });
    part.style.left = 100 * at / r.took_ms + '%';
    part.style.width = 100 * stage.took_ms / r.took_ms + '%';
    at += stage.took_ms;
    bar.append(part);
  }
  return bar;
}

function tags(r) {
  const out = [];
  const tag = (text, bad) => out.push(el(bad === undefined ? 'span' : 'b', { className: bad ? 'bad' : '' }, text));
  if (r.class && r.class !== 'ok') tag(r.class + (r.status ? ' ' + r.status : ''), true);
  if (r.coverage !== undefined && r.coverage < 1 && r.shards) tag(`${r.shards_answered} of ${r.shards} shards`, true);
  if (r.hedges) tag(r.hedges === 1 ? '1 hedge' : r.hedges + ' hedges', false);
  if (r.failovers) tag(r.failovers === 1 ? '1 failover' : r.failovers + ' failovers', false);
  if (r.collection) tag(r.collection);
  if (r.mode) tag(r.mode);
  if (r.hits) tag(r.hits + ' hits');
  if (r.model) tag(r.model);
  return out;
}

// merged says what the answer was made of.
function merged(r) {
  if (!r.shards) return [(r.attempts.length === 1 ? '1 call' : r.attempts.length + ' calls') + ' of upstreams' + (r.completion_tokens ? `, ${count(r.prompt_tokens)} tokens read and ${count(r.completion_tokens)} written` : '')];
  return [
    `${r.hits ?? 0} hits merged from ${count(r.rows)} rows of ${r.shards_answered ?? 0} of ${r.shards} shards, which hold ${percent(r.coverage ?? 0)} of the documents.`,
    r.refills ? ` ${r.refills} shards were asked again for more.` : '',
    r.model ? ` ${r.model} read ${count(r.prompt_tokens)} tokens and wrote ${count(r.completion_tokens)}.` : '',
  ];
}

// gantt shows the stages and attempts over the time of the request.
function gantt(r) {
  const ends = r.attempts.map((a) => a.start_ms + (a.took_ms || 0));
  const whole = Math.max(r.took_ms || 0, ...ends, 0.001);
  const lines = [];
  const line = (name, start, took, look, word) => {
    const part = el('i', { className: look });
    part.style.left = 100 * start / whole + '%';
    part.style.width = 100 * (took ?? whole - start) / whole + '%';
    lines.push(el('div', { className: 'line', title: word || name }, el('span', { className: 'name' }, name),
      el('span', { className: 'bar' }, part), el('span', { className: 'ms' }, ms(took))));
  };
  let at = 0;
  for (const stage of r.stages) {
    line(stage.name, at, stage.took_ms, 'stage');
    at += stage.took_ms;
  }
  for (const a of [...r.attempts].sort((a, b) => a.start_ms - b.start_ms)) {
    const given = a.outcome && a.outcome !== 'won';
    const word = `${a.pool}/${a.member}: ${a.reason}, ${a.outcome || 'under way'}`;
    const mark = a.reason === 'first' ? '' : ' · ' + a.reason;
    line(`${a.pool.replace(/^embed /, '')}/${a.member}${mark}${given ? ' · ' + a.outcome : ''}`, a.start_ms, a.took_ms, given ? 'given-up' : a.reason, word);
  }
  return el('div', { className: 'gantt' }, ...lines);
}
