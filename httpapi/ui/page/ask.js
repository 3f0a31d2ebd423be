// The search box and the answer box.

import * as api from './api.js';
import { el, ms } from './words.js';

export class Ask {
  constructor(form, parts, refused) {
    Object.assign(this, { form, ...parts, refused });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.run(event.submitter?.value || 'search');
    });
  }

  // offer lists the collections.
  offer(collections) {
    const names = collections.map((c) => c.name), there = [...this.collection.options].map((o) => o.value);
    if (names.join('\n') === there.join('\n')) return;
    const chosen = this.collection.value;
    this.collection.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
    if (names.includes(chosen)) this.collection.value = chosen;
  }

  body() {
    const body = { collection: this.collection.value || 'docs', k: Number(this.k.value) || 5 };
    if (this.tenant.value) body.tenant = this.tenant.value;
    return body;
  }

  async run(what) {
    const text = this.text.value.trim(), began = performance.now();
    if (!text || this.busy) return;
    this.lock(true);
    this.say('…');
    this.answerBox.hidden = true;
    this.answerBox.replaceChildren();
    this.hits.replaceChildren();
    try {
      await (what === 'answer' ? this.answer(text, began) : this.search(text, began));
    } catch (err) {
      this.say(err.message, true);
      if (err.status === 401) this.refused(err.message);
    } finally {
      this.lock(false);
    }
  }

  lock(busy) {
    this.busy = busy;
    for (const button of this.form.querySelectorAll('button')) button.disabled = busy;
  }

  say(text, bad = false) {
    this.outcome.textContent = text;
    this.outcome.classList.toggle('problem', bad);
  }

  async search(text, began) {
    const body = { ...this.body(), text, on_partial: 'return' }, times = Number(this.times.value);
    const first = await api.search(body);
    this.show(first.hits);
    if (times > 1) await this.more(body, times - 1);
    this.say((times > 1 ? `${times} searches, ` : '') + this.report(first, began));
  }

  // more sends the same search again, eight at a time.
  async more(body, left) {
    const drive = async () => {
      while (left-- > 0) await api.search(body);
    };
    await Promise.all(Array.from({ length: 8 }, drive));
  }

  report(res, began) {
    const r = res.report;
    const missing = r.complete ? '' : `; ${r.shards_asked - r.shards_answered} of ${r.shards_asked} shards are missing`;
    const extra = r.hedges ? `, ${r.hedges} hedged` : '';
    return `${ms(performance.now() - began)}, ${ms(r.took_ms)} of it in the server; ${r.shards_answered} shard${r.shards_answered === 1 ? '' : 's'}, ${r.mode}${extra}${missing}`;
  }

  async answer(text, began) {
    const words = el('span');
    this.answerBox.hidden = false;
    this.answerBox.replaceChildren(words);
    let whole = '';
    await api.answer({ ...this.body(), question: text, on_partial: 'return' }, (event, data) => {
      if (event === 'sources') this.show(data.hits);
      if (event === 'delta') words.textContent = whole += data.text;
      if (event === 'done') this.finish(data, began);
      if (event === 'error') throw new Error(data.detail || data.title);
    });
  }

  // finish replaces the words by the whole answer, whose citations lead to their sources.
  finish(data, began) {
    const cited = new Set(data.citations.map((c) => c.n));
    const parts = data.answer.split(/(\[\d+\])/).map((part) => {
      const n = Number(part.match(/^\[(\d+)\]$/)?.[1]);
      return cited.has(n) ? el('a', { href: '#source-' + n }, part) : part;
    });
    this.answerBox.replaceChildren(...parts);
    for (const n of cited) document.getElementById('source-' + n)?.classList.add('cited');
    this.say(`${data.model}: ` + this.report(data, began));
  }

  show(hits) {
    this.hits.replaceChildren(...hits.map((hit, i) => el('li', { id: 'source-' + (i + 1) },
      el('div', { className: 'id' }, el('span', {}, String(i + 1)), el('b', {}, hit.id), el('span', {}, `${hit.score.toFixed(3)} · ${hit.shard}`)),
      el('p', {}, hit.text || ''))));
    if (hits.length === 0) this.hits.replaceChildren(el('li', {}, 'Nothing was found.'));
  }
}
