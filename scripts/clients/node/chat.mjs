// /v1/chat/completions, /v1/completions and /v1/models by openai-node: whole, streamed, tools, usage, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";

const server = { baseURL: process.env.LANEWISE_URL + "/v1", maxRetries: 0 };
const client = new OpenAI({ ...server, apiKey: process.env.LANEWISE_KEY });
const say = (content) => ({ model: "echo", messages: [{ role: "user", content }] });
const chat = (content, more = {}) => client.chat.completions.create({ ...say(content), ...more });
const tools = [{ type: "function", function: { name: "take", parameters: { type: "object", properties: { lane: { type: "integer" } } } } }];

const names = [];
for await (const m of client.models.list()) names.push(m.id);
assert.ok(names.includes("echo") && names.includes("static"), names.join());

const { data: whole, response } = await chat("hi").withResponse();
assert.equal(whole.choices[0].message.content, "You said: hi");
assert.equal(whole.usage.total_tokens, 13);
assert.equal(response.headers.get("x-lanewise-upstream"), "engine");
assert.equal((await chat("hi", { n: 2 })).choices.length, 2);

let text = "";
for await (const c of await chat("word by word", { stream: true })) text += c.choices[0].delta.content ?? "";
assert.equal(text, "You said: word by word");

let last;
for await (const c of await chat("hi", { stream: true, stream_options: { include_usage: true } })) last = c;
assert.deepEqual(last.choices, []);
assert.equal(last.usage.total_tokens, 13);

assert.equal((await chat("which?", { tools })).choices[0].message.tool_calls[0].function.arguments, '{"lane":3}');
const final = await client.chat.completions.stream({ ...say("which?"), tools }).finalChatCompletion();
assert.equal(final.choices[0].message.tool_calls[0].function.name, "take");

// A client that leaves a stream.
for await (const _ of await chat("one two three", { stream: true })) break;

assert.equal((await client.completions.create({ model: "echo", prompt: "on" })).choices[0].text, "on and on");

async function fails(kind, code, call) {
  const error = await call().then(() => assert.fail(`no ${kind.name}`), (e) => e);
  assert.ok(error instanceof kind, `${error}`);
  assert.equal(error.code, code);
}
await fails(OpenAI.BadRequestError, "context_length_exceeded", () => chat("too long"));
await fails(OpenAI.NotFoundError, "model_not_found", () => client.chat.completions.create({ ...say("hi"), model: "none" }));
const wrong = new OpenAI({ ...server, apiKey: "wrong" });
await fails(OpenAI.AuthenticationError, "invalid_api_key", () => wrong.chat.completions.create(say("hi")));
