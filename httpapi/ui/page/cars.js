// Cars: every attempt of a request drives over its lane for as long as the attempt took. One factor slows all of
// them down, so that a car which is twice as slow as another one was twice as slow.

import { laneKey } from './model.js';
import { median } from './words.js';

const most = 200;       // cars at a time
const longest = 15e3;   // ms that a trip is drawn; longer ones go faster
const usual = 3e3;      // ms that the usual trip is drawn, with the automatic factor
const approach = 420;   // ms on the screen, from the road to a lane and back
const fades = 500;      // ms on the screen, of a car that was given up

export class Cars {
  constructor(plaza, roads, canvas) {
    Object.assign(this, { plaza, roads, canvas, playing: [], took: [], scale: 'auto', paused: false, skipped: 0, drawn: 0, queued: 0 });
    this.layout();
    new ResizeObserver(() => this.layout()).observe(plaza);
  }

  // layout measures where the lanes are, and draws the roads to them.
  layout() {
    const box = this.plaza.getBoundingClientRect(), ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.roads, this.canvas]) {
      canvas.width = Math.round(box.width * ratio);
      canvas.height = Math.round(box.height * ratio);
      canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.size = { width: box.width, height: box.height };
    this.at = new Map();
    const columns = [...this.plaza.querySelectorAll('.column')].map((node) => {
      const r = node.getBoundingClientRect();
      return { node, left: r.left - box.left, right: r.right - box.left, top: r.top - box.top, bottom: r.bottom - box.top };
    });
    this.beside = columns.length < 2 || columns[1].left >= columns[0].right - 1; // else they stand one below the other
    const gates = columns[0]?.node.querySelector('.gates').getBoundingClientRect();
    this.road = gates ? gates.top - box.top + gates.height / 2 : box.height / 2; // its height
    columns.forEach((column, i) => {
      const before = i > 0 ? (columns[i - 1].right + column.left) / 2 : column.left / 2;
      const after = i + 1 < columns.length ? (column.right + columns[i + 1].left) / 2 : (column.right + box.width) / 2;
      const joins = { before: [before, this.road], after: [after, this.road] };
      for (const lane of column.node.querySelectorAll('.lane')) {
        const r = lane.getBoundingClientRect(), track = lane.querySelector('.track').getBoundingClientRect();
        const y = r.top - box.top + r.height / 2;
        this.at.set(lane.dataset.lane, { enter: [r.left - box.left, y], leave: [r.right - box.left, y], x0: track.left - box.left, x1: track.right - box.left, y, ...joins });
      }
      column.joins = joins;
    });
    this.columns = columns;
    this.drawRoads();
  }

  drawRoads() {
    const c = this.roads.getContext('2d'), style = getComputedStyle(document.documentElement);
    c.clearRect(0, 0, this.size.width, this.size.height);
    if (!this.beside) return;
    c.strokeStyle = style.getPropertyValue('--road');
    c.globalAlpha = 0.55;
    c.lineWidth = 2;
    for (const node of this.plaza.querySelectorAll('.gate')) {
      const box = this.plaza.getBoundingClientRect(), r = node.getBoundingClientRect();
      const lane = this.at.get(node.querySelector('.lane')?.dataset.lane);
      if (!lane) continue;
      const y = r.top - box.top + r.height / 2;
      c.beginPath();
      curve(c, lane.before, [r.left - box.left, y]);
      curve(c, [r.right - box.left, y], lane.after);
      c.stroke();
    }
    c.beginPath();
    c.moveTo(0, this.road);
    c.lineTo(this.columns[0]?.joins.before[0] ?? 0, this.road);
    c.moveTo(this.columns.at(-1)?.joins.after[0] ?? 0, this.road);
    c.lineTo(this.size.width, this.road);
    c.stroke();
    c.globalAlpha = 1;
    this.drawSigns(c, style);
  }

  // drawSigns writes beside the road what happens there, and draws those who wait to be let in.
  drawSigns(c, style) {
    const merges = this.columns.find((column) => column.node.dataset.kind === 'shards')?.joins.after[0];
    c.font = '12px ' + style.fontFamily;
    c.fillStyle = style.getPropertyValue('--soft');
    c.textAlign = 'left';
    c.fillText('question', 10, this.road - 9);
    if (merges !== undefined) c.fillText('merge', merges - 3, this.road - 9);
    c.textAlign = 'right';
    c.fillText('answer', this.size.width - 10, this.road - 9);
    c.globalAlpha = 0.8;
    for (let i = 0; i < Math.min(this.queued, 40); i++) {
      c.beginPath();
      c.roundRect(8 + 14 * (i % 4), this.road + 6 + 12 * Math.floor(i / 4), 11, 7, 3);
      c.fill();
    }
    c.globalAlpha = 1;
  }

  // queue says how many searches wait to be let in.
  queue(n) {
    if (n === this.queued) return;
    this.queued = n;
    this.drawRoads();
  }

  // factor is how many times slower than it was a trip is drawn.
  factor(trip) {
    const took = trip.request.took_ms ?? performance.now() - trip.began;
    const wished = this.scale === 'auto' ? Math.min(1000, Math.max(1, usual / (median(this.took) || 10))) : Number(this.scale);
    return Math.max(1, Math.min(wished, longest / Math.max(took, 0.1)));
  }

  // play has a trip driven, after a while in ms.
  play(trip, delay = 0) {
    const playing = this.playing.find((p) => p.trip === trip);
    if (playing) return; // it drives on with what has become known
    if (this.cars() + trip.request.attempts.length > most) {
      this.skipped++;
      return;
    }
    this.drawn++;
    this.playing.push({ trip, from: this.clock + delay, factor: this.factor(trip) });
  }

  // learn takes in how long a trip took.
  learn(trip) {
    if (trip.request.took_ms === undefined || trip.learnt) return;
    trip.learnt = true;
    this.took.push(trip.request.took_ms);
    if (this.took.length > 50) this.took.shift();
  }

  cars() { return this.playing.reduce((n, p) => n + p.trip.request.attempts.length, 0); }

  clock = 0; // ms that the plaza has been driven on, pauses left out

  // frame draws what there is now. elapsed: ms since the last one.
  frame(elapsed) {
    if (!this.paused) this.clock += Math.min(elapsed, 100);
    const c = this.canvas.getContext('2d');
    c.clearRect(0, 0, this.size.width, this.size.height);
    if (this.playing.length === 0) return;
    this.colours ||= this.palette();
    this.playing = this.playing.filter((p) => this.drawTrip(c, p));
  }

  palette() {
    const style = getComputedStyle(document.documentElement), read = (name) => style.getPropertyValue(name).trim();
    return { first: read('--car'), hedge: read('--hedge'), failover: read('--failover'), edge: read('--ink'), glass: read('--panel'), road: read('--road') };
  }

  // drawTrip draws the cars of a trip, and reports whether it is not over.
  drawTrip(c, p) {
    const { request } = p.trip, at = this.clock - p.from;
    const whole = request.took_ms ?? Infinity;
    let last = 0;
    for (const attempt of request.attempts) {
      const lane = this.at.get(laneKey(attempt.pool, attempt.member));
      const start = attempt.start_ms * p.factor + approach, took = (attempt.took_ms ?? Infinity) * p.factor;
      if (attempt.took_ms !== undefined) last = Math.max(last, start + took);
      if (lane) this.drawCar(c, lane, attempt, { t: at - start, took, expected: 30 * p.factor });
    }
    return at < (whole === Infinity ? Math.max(last, 60e3) : Math.max(last, 0)) + approach + fades;
  }

  // drawCar draws the car of an attempt, t ms after it has reached its lane.
  drawCar(c, lane, attempt, { t, took, expected }) {
    const arrived = attempt.outcome === undefined || attempt.outcome === 'won' || attempt.outcome === 'lost';
    const reach = arrived ? 1 : 0.55; // how far a car comes that never arrives
    const inset = 9, x0 = lane.x0 + inset, x1 = Math.max(x0, lane.x1 - inset);
    if (t < -approach) return;
    if (t < 0) {
      if (this.beside) this.along(c, attempt, lane.before, lane.enter, 1 + t / approach);
      return;
    }
    if (t <= took) {
      const done = took === Infinity ? t / (t + expected) : t / took;
      this.car(c, attempt, x0 + (x1 - x0) * reach * done, lane.y, 0, 1);
      return;
    }
    const after = t - took;
    if (!arrived) {
      this.wreck(c, attempt, x0 + (x1 - x0) * reach, lane.y, 1 - after / fades);
    } else if (attempt.outcome === 'lost') {
      this.wreck(c, attempt, x1, lane.y, 1 - after / fades);
    } else if (after < approach && this.beside) {
      this.along(c, attempt, lane.leave, lane.after, after / approach);
    } else if (after < fades && !this.beside) {
      this.car(c, attempt, x1, lane.y, 0, 1 - after / fades);
    }
  }

  // along draws a car on the road between two points.
  along(c, attempt, from, to, done) {
    const [x, y] = onCurve(from, to, done), [ahead, aside] = onCurve(from, to, Math.min(1, done + 0.02));
    this.car(c, attempt, x, y, Math.atan2(aside - y, ahead - x), 1);
  }

  car(c, attempt, x, y, angle, alpha) {
    if (alpha <= 0) return;
    const colour = this.colours[attempt.reason] || this.colours.first;
    c.save();
    c.globalAlpha = Math.min(1, alpha);
    c.translate(x, y);
    if (angle) c.rotate(angle);
    c.fillStyle = colour;
    c.beginPath();
    c.roundRect(-9, -5, 18, 10, 4);
    c.fill();
    c.lineWidth = attempt.reason === 'hedge' ? 1.8 : 1;
    c.strokeStyle = attempt.reason === 'hedge' ? this.colours.edge : this.colours.glass;
    c.stroke();
    c.fillStyle = this.colours.glass;
    c.globalAlpha *= 0.85;
    c.fillRect(2, -3, 2.6, 6);
    if (attempt.reason === 'failover') c.fillRect(-6, -1, 6, 2);
    c.restore();
  }

  wreck(c, attempt, x, y, alpha) {
    if (alpha <= 0) return;
    this.car(c, attempt, x, y, 0, alpha * 0.5);
    c.save();
    c.globalAlpha = alpha;
    c.strokeStyle = this.colours.edge;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x - 5, y - 5); c.lineTo(x + 5, y + 5);
    c.moveTo(x + 5, y - 5); c.lineTo(x - 5, y + 5);
    c.stroke();
    c.restore();
  }
}

function bend(from, to) {
  const middle = (from[0] + to[0]) / 2;
  return [[middle, from[1]], [middle, to[1]]];
}

function curve(c, from, to) {
  const [a, b] = bend(from, to);
  c.moveTo(...from);
  c.bezierCurveTo(...a, ...b, ...to);
}

function onCurve(from, to, t) {
  const [a, b] = bend(from, to), s = 1 - t;
  return [0, 1].map((i) => s * s * s * from[i] + 3 * s * s * t * a[i] + 3 * s * t * t * b[i] + t * t * t * to[i]);
}
