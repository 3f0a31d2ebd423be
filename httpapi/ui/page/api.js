// What the page asks of its server.

const keyName = 'lanewise.key';

export const key = {
  get: () => sessionStorage.getItem(keyName) || '',
  set: (value) => value ? sessionStorage.setItem(keyName, value) : sessionStorage.removeItem(keyName),
};

// Refusal is an answer that is none: its status, and the server's words for it.
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = 'Bearer ' + key.get();
  if (options.body) headers['Content-Type'] = 'application/json';
  const answer = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit' });
  if (answer.ok) return answer;
  let detail = answer.statusText;
  try {
    const problem = await answer.json();
    detail = problem.detail || problem.title || detail;
  } catch { /* the status says enough */ }
  throw new Refusal(answer.status, detail);
}

const json = async (path, options) => (await call(path, options)).json();

export const topology = () => json('../v1/topology');
export const requests = (after) => json('../v1/requests?after=' + after);
export const search = (body) => json('../v1/search', { method: 'POST', body: JSON.stringify(body) });

// answer calls on(event, data) for each server-sent event of an answer.
export async function answer(body, on) {
  const stream = await call('../v1/answer', { method: 'POST', body: JSON.stringify({ ...body, stream: true }) });
  const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    rest = (rest + (value || '')).replaceAll('\r\n', '\n');
    for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
      tell(rest.slice(0, end), on);
    }
    if (done) return;
  }
}

function tell(block, on) {
  let event = 'message';
  const data = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) on(event, JSON.parse(data.join('\n')));
}
