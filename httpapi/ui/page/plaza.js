// The plazas: a column for each kind of lane, a gate for each pool, a button for each lane.

import { el, ms, percent, setText } from './words.js';
import { kinds, kindOf, laneKey } from './model.js';

const titles = { embed: 'embed', shards: 'shards', rerank: 'rerank', llm: 'models' };

export class Plaza {
  constructor(root, model, opened) {
    Object.assign(this, { root, model, opened, buttons: new Map(), gates: new Map(), shape: '' });
  }

  // draw brings the lanes up to date. It returns whether their places have changed.
  draw() {
    const shape = JSON.stringify(this.model.pools.map((p) => [p.lane, p.pool, p.members.map((m) => m.name)]));
    const changed = shape !== this.shape;
    if (changed) {
      this.shape = shape;
      this.build();
    }
    for (const pool of this.model.pools) this.drawPool(pool);
    for (const lane of this.model.lanes.values()) this.drawLane(lane);
    return changed;
  }

  build() {
    const focused = document.activeElement?.dataset?.lane;
    this.buttons.clear();
    this.gates.clear();
    const columns = kinds.map((kind) => [kind, this.model.pools.filter((p) => kindOf(p.lane) === kind)]).filter(([, pools]) => pools.length > 0);
    this.root.replaceChildren(...columns.map(([kind, pools]) => this.column(kind, pools)));
    this.root.style.setProperty('--beside', columns.map(([kind, pools]) => `minmax(0, ${kind === 'shards' ? (pools.length > 6 ? 3.2 : 1.9) : 1}fr)`).join(' '));
    if (focused) this.buttons.get(focused)?.button.focus();
  }

  column(kind, pools) {
    const many = pools.length > 6 ? ' many' : '';
    const gates = el('div', { className: 'gates' + many + (pools.length > 1 ? ' pairwise' : '') }, ...pools.map((pool) => this.gate(pool)));
    return el('div', { className: 'column', data: { kind } }, el('h3', {}, titles[kind]), gates);
  }

  gate(pool) {
    const note = el('small'), name = pool.pool.replace(/^embed /, '');
    this.gates.set(pool.pool, note);
    const lanes = pool.members.map((member) => el('li', {}, this.lane(pool, member)));
    return el('div', { className: 'gate' }, el('h4', { title: pool.pool }, el('span', {}, name), note), el('ul', { className: 'lanes' }, ...lanes));
  }

  lane(pool, member) {
    const key = laneKey(pool.pool, member.name);
    const parts = { load: el('span', { className: 'load' }), state: el('span', { className: 'state' }), track: el('span', { className: 'track' }), failed: el('span', { className: 'failed' }),
      ms: el('span', { className: 'ms' }), share: el('i', { className: 'share' }) };
    const button = el('button', { type: 'button', className: 'lane', data: { lane: key }, on: { click: () => this.opened(key) } },
      el('b', {}, member.name), parts.state, parts.load, parts.track, parts.failed, parts.ms, parts.share);
    this.buttons.set(key, { button, ...parts });
    return button;
  }

  drawPool(pool) {
    const note = this.gates.get(pool.pool);
    const text = pool.waiting > 0 ? pool.waiting + ' waiting' : pool.hedges > 0 ? pool.hedges.toLocaleString('en') + ' hedges' : '';
    setText(note, text);
    note.classList.toggle('waits', pool.waiting > 0);
  }

  drawLane(lane) {
    const { button, load, state, failed, share, ms: took } = this.buttons.get(lane.key);
    const { look, word } = this.model.state(lane), figures = this.model.figures(lane);
    if (button.dataset.look !== look) button.dataset.look = look;
    setText(state, word);
    setText(load, lane.member.in_flight > 0 ? '×' + lane.member.in_flight : '');
    setText(took, ms(figures.took));
    setText(failed, figures.errors > 0 ? percent(figures.errors) + ' failed' : '');
    share.style.width = 100 * (figures.share || 0) + '%';
    const spoken = `${lane.pool.pool} ${lane.member.name}: ${word || 'open'}, ${ms(figures.took)}, ${lane.member.in_flight} under way` +
      (figures.share === undefined ? '' : `, ${percent(figures.share)} of the calls, ${percent(figures.errors)} failed`);
    if (button.getAttribute('aria-label') !== spoken) button.setAttribute('aria-label', spoken);
  }
}
