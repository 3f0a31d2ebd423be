// POST /v1/embeddings by openai-node: every form of input, both encodings, shorter vectors, usage, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";

const DIMS = 256;
const server = { baseURL: process.env.LANEWISE_URL + "/v1", maxRetries: 0 };
const client = new OpenAI({ ...server, apiKey: process.env.LANEWISE_KEY });
const embed = (input, more = {}) => client.embeddings.create({ model: "static", input, ...more });
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

async function fails(kind, param, call) {
  const error = await call().then(
    () => assert.fail(`no ${kind.name}`),
    (e) => e,
  );
  assert.ok(error instanceof kind, `${error}`);
  assert.equal(error.param, param);
  assert.equal(error.type, "invalid_request_error");
  return error;
}

// The client asks for base64 by itself and decodes it.
const one = await embed("read a file line by line");
assert.equal(one.object, "list");
assert.equal(one.model, "static");
assert.equal(one.data[0].embedding.length, DIMS);
assert.ok(Math.abs(dot(one.data[0].embedding, one.data[0].embedding) - 1) < 1e-5);
assert.ok(one.usage.total_tokens > 3 && one.usage.total_tokens === one.usage.prompt_tokens);

const many = await embed(["sort a slice", "read a file line by line"]);
assert.deepEqual(many.data.map((d) => d.index), [0, 1]);
assert.deepEqual([...many.data[1].embedding], [...one.data[0].embedding]);

// Numbers and base64 are the same vectors, to the last bit.
const numbers = (await embed("read a file line by line", { encoding_format: "float" })).data[0].embedding;
assert.deepEqual(Float32Array.from(numbers), Float32Array.from(one.data[0].embedding));
const raw = (await embed("read a file line by line", { encoding_format: "base64" })).data[0].embedding;
assert.deepEqual(Buffer.from(raw, "base64"), Buffer.from(Float32Array.from(numbers).buffer));

// Token ids: one text, and a list of texts.
const ids = await embed([2000, 2001, 2002]);
const lists = await embed([[2000, 2001, 2002], [3000]]);
assert.equal(ids.data.length, 1);
assert.equal(lists.data.length, 2);
assert.deepEqual([...ids.data[0].embedding], [...lists.data[0].embedding]);
assert.equal(ids.usage.total_tokens, 3);

assert.equal((await embed("a lane", { dimensions: 128 })).data[0].embedding.length, 128);
assert.equal((await embed(Array.from({ length: 3000 }, (_, i) => `text ${i}`))).data.length, 3000);

const missing = await fails(OpenAI.NotFoundError, "model", () => client.embeddings.create({ model: "letters", input: "a" }));
assert.equal(missing.code, "model_not_found");
await fails(OpenAI.BadRequestError, "input", () => embed([]));
await fails(OpenAI.BadRequestError, "dimensions", () => embed("a", { dimensions: 1000 }));
const wrong = new OpenAI({ ...server, apiKey: "wrong" });
await fails(OpenAI.AuthenticationError, null, () => wrong.embeddings.create({ model: "static", input: "a" }));
