// What is known of the server: its lanes, and its last requests.

import { median } from './words.js';

const memory = 60e3; // ms, for which attempts count in the figures of a lane
const kept = 200;    // requests

// kinds are the plazas on the road, in its order.
export const kinds = ['embed', 'shards', 'rerank', 'llm'];
export const kindOf = (lane) => kinds.find((kind) => lane.startsWith(kind)) || 'llm';
export const laneKey = (pool, member) => pool + '\n' + member;

export class Model {
  pools = [];
  lanes = new Map(); // by laneKey: {key, kind, pool, member, seen, before}
  trips = new Map(); // by id
  next = 0;

  // look takes in a topology.
  look(topology) {
    this.topology = topology;
    this.pools = topology.pools;
    const there = new Set();
    for (const pool of this.pools) {
      for (const member of pool.members) {
        const key = laneKey(pool.pool, member.name);
        there.add(key);
        const lane = this.lanes.get(key) || { key, seen: [] };
        Object.assign(lane, { kind: kindOf(pool.lane), pool, member });
        this.lanes.set(key, lane);
      }
    }
    for (const key of this.lanes.keys()) if (!there.has(key)) this.lanes.delete(key);
  }

  // hear takes in requests and returns those that are new or have changed.
  hear(list) {
    if (list.next < this.next) this.trips.clear(); // the server has started anew
    this.next = list.next;
    const now = performance.now();
    return list.requests.map((request) => {
      const trip = this.trips.get(request.id) || { id: request.id, began: now - request.age_ms, counted: 0 };
      Object.assign(trip, { request, fresh: !this.trips.has(request.id) });
      this.trips.set(request.id, trip);
      this.count(trip, now);
      return trip;
    });
  }

  // count enters the attempts of a trip into the figures of their lanes, each once.
  count(trip, now) {
    trip.told ||= new Set();
    trip.request.attempts.forEach((attempt, i) => {
      const lane = this.lanes.get(laneKey(attempt.pool, attempt.member));
      if (!lane || attempt.took_ms === undefined || trip.told.has(i)) return;
      trip.told.add(i);
      lane.seen.push({ at: now, took: attempt.took_ms, good: attempt.outcome === 'won' || attempt.outcome === 'lost', reason: attempt.reason, outcome: attempt.outcome });
    });
  }

  // forget drops what is too old to be shown.
  forget() {
    const now = performance.now();
    for (const lane of this.lanes.values()) {
      while (lane.seen.length > 500 || lane.seen.length > 0 && now - lane.seen[0].at > memory) lane.seen.shift();
    }
    const ids = [...this.trips.keys()];
    for (const id of ids.slice(0, Math.max(0, ids.length - kept))) this.trips.delete(id);
  }

  // figures are what the last minute says of a lane.
  figures(lane) {
    const all = lane.pool.members.reduce((sum, m) => sum + (this.lanes.get(laneKey(lane.pool.pool, m.name))?.seen.length || 0), 0);
    const failed = lane.seen.filter((s) => !s.good && s.outcome !== 'cancelled').length;
    return {
      took: median(lane.seen.filter((s) => s.good || s.outcome === 'cancelled').map((s) => s.took)) ?? median(Object.values(lane.member.latency_ms)),
      share: all > 0 ? lane.seen.length / all : undefined,
      errors: lane.seen.length > 0 ? failed / lane.seen.length : undefined,
      hedges: lane.seen.filter((s) => s.reason === 'hedge').length,
      cut: lane.seen.filter((s) => s.outcome === 'cancelled').length,
      attempts: lane.seen.length,
    };
  }

  // look of a lane: what it is drawn as, and the word for it.
  state(lane) {
    const state = lane.member.state;
    if (state === 'ejected' || state === 'throttled') return { look: 'closed', word: state };
    if (state === 'trying') return { look: 'closed', word: 'on trial' };
    if (state === 'draining') return { look: 'draining', word: 'draining' };
    if (this.slow(lane)) return { look: 'slow', word: 'slow' };
    return { look: 'open', word: state === 'starting' ? 'starting' : '' };
  }

  // slow: its last calls took three times what those of the others in its pool did, or were given up for others.
  slow(lane) {
    const mine = lane.seen.slice(-20);
    const others = lane.pool.members.filter((m) => m.name !== lane.member.name)
      .flatMap((m) => this.lanes.get(laneKey(lane.pool.pool, m.name))?.seen.slice(-20) || []);
    if (mine.length < 3 || others.length < 3) return false;
    const took = median(mine.map((s) => s.took)), usual = median(others.map((s) => s.took));
    return took > 3 * usual && took > usual + 5 || mine.filter((s) => s.outcome === 'cancelled').length > mine.length / 2;
  }
}
