// What is known of one lane, in a dialog.

import { count, el, ms, percent } from './words.js';

const words = {
  healthy: 'open', starting: 'open, with less than its share for now', throttled: 'left alone, as it asked to be',
  ejected: 'closed after failures', trying: 'on trial with one call', draining: 'draining: no further calls',
};

export class LaneDialog {
  constructor(dialog, title, body, model) {
    Object.assign(this, { dialog, title, body, model });
  }

  open(key) {
    this.key = key;
    this.draw();
    this.dialog.showModal();
  }

  draw() {
    const lane = this.model.lanes.get(this.key);
    if (!lane) return;
    const m = lane.member, f = this.model.figures(lane), slow = this.model.slow(lane);
    this.title.textContent = `${lane.pool.pool} / ${m.name}`;
    const rows = [
      ['State', (words[m.state] || m.state) + (slow ? ', and slow' : '') + (m.until_ms ? `, for ${ms(m.until_ms)} more` : '')],
      ['Under way', count(m.in_flight) + (m.limit ? ' of ' + count(m.limit) : '')],
      ['Waiting for its pool', count(lane.pool.waiting)],
      ['Weight', String(m.weight) + (m.tier ? `, tier ${m.tier}` : '')],
      ['Calls that end when they are cancelled', m.aborts ? 'yes' : 'no'],
    ];
    const minute = [
      ['Calls seen', count(f.attempts)], ['Share of its pool', f.share === undefined ? '–' : percent(f.share)], ['Median', ms(f.took)],
      ['Failed', f.errors === undefined ? '–' : percent(f.errors)], ['Hedges it was sent', count(f.hedges)], ['Given up for another', count(f.cut)],
    ];
    const since = [['Answers', m.good], ['Nothing learnt', m.unknown], ['Cut off for slowness', m.slow], ['Failures', m.bad], ['Asked to be left alone', m.busy], ['Taken out of use', m.ejected]];
    this.body.replaceChildren(
      table('Now', rows), table('The last minute, of the requests that were looked at', minute),
      table('Since the start', since.map(([name, n]) => [name, count(n)])),
      table('Median by class of call', Object.entries(m.latency_ms).map(([name, took]) => [name || 'all', ms(took)])));
  }
}

function table(title, rows) {
  if (rows.length === 0) return '';
  return el('table', { className: 'table' }, el('caption', { className: 'note' }, title),
    el('tbody', {}, ...rows.map(([name, value]) => el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, value)))));
}
