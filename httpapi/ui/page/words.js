// Small words and elements.

// el makes an element: its properties, then its children, which are elements or texts.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === 'data') Object.assign(node.dataset, value);
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== ''));
  return node;
}

// setText changes a text only where it differs, so that nothing is laid out for nothing.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function ms(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–';
  if (value < 0.95) return (value * 1000).toFixed(0) + ' µs';
  if (value < 9.95) return value.toFixed(1) + ' ms';
  if (value < 999.5) return value.toFixed(0) + ' ms';
  return (value / 1000).toFixed(value < 9950 ? 1 : 0) + ' s';
}

export const count = (n) => n === undefined ? '–' : Math.round(n).toLocaleString('en');
export const percent = (share) => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0) + ' %';

export function ago(since) {
  const s = Math.max(0, (performance.now() - since) / 1000);
  if (s < 2) return 'now';
  if (s < 90) return Math.round(s) + ' s ago';
  if (s < 5400) return Math.round(s / 60) + ' min ago';
  return Math.round(s / 3600) + ' h ago';
}

export function median(values) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
