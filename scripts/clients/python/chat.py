"""/v1/chat/completions, /v1/completions and /v1/models by openai-python: whole, streamed, tools, usage, errors."""

import os

import openai

client = openai.OpenAI(base_url=os.environ["LANEWISE_URL"] + "/v1", api_key=os.environ["LANEWISE_KEY"], max_retries=0)
TOOL = {"type": "function", "function": {"name": "take", "parameters": {"type": "object", "properties": {"lane": {"type": "integer"}}}}}


def chat(text, **more):
    return client.chat.completions.create(model="echo", messages=[{"role": "user", "content": text}], **more)


names = [m.id for m in client.models.list()]
assert "echo" in names and "static" in names, names
assert client.models.retrieve("echo").id == "echo"

# The first of the two upstreams is not there: the second one answers.
raw = client.chat.completions.with_raw_response.create(model="echo", messages=[{"role": "user", "content": "hi"}])
whole = raw.parse()
assert whole.choices[0].message.content == "You said: hi" and whole.choices[0].finish_reason == "stop", whole
assert whole.usage.total_tokens == 13 and whole.model == "parrot", whole
assert raw.headers["x-lanewise-upstream"] == "engine" and raw.headers["x-lanewise-model"] == "echo", raw.headers

many = chat("hi", n=3, logprobs=True)
assert len(many.choices) == 3 and many.choices[2].logprobs.content[0].logprob == -0.5, many

# A naive reader of streams takes the first choice of every chunk: there is always one.
text = "".join(c.choices[0].delta.content or "" for c in chat("word by word", stream=True))
assert text == "You said: word by word", text
chunks = list(chat("hi", stream=True, stream_options={"include_usage": True}))
assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 13, chunks[-1]

call = chat("which?", tools=[TOOL]).choices[0]
assert call.finish_reason == "tool_calls" and call.message.tool_calls[0].function.arguments == '{"lane":3}', call
with client.chat.completions.stream(model="echo", messages=[{"role": "user", "content": "which?"}], tools=[TOOL]) as stream:
    final = stream.get_final_completion()
assert final.choices[0].message.tool_calls[0].function.name == "take", final

assert client.completions.create(model="echo", prompt="on").choices[0].text == "on and on"
assert [c.choices[0].text for c in client.completions.create(model="echo", prompt="on", stream=True)] == ["on and on"]


def fails(kind, code, call):
    try:
        call()
    except kind as e:
        assert e.code == code, (e.code, e.body)
        return
    raise AssertionError(f"no {kind.__name__}")


fails(openai.BadRequestError, "context_length_exceeded", lambda: chat("too long"))
fails(openai.BadRequestError, "context_length_exceeded", lambda: chat("too long", stream=True))
fails(openai.NotFoundError, "model_not_found", lambda: client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}]))
fails(openai.BadRequestError, "invalid", lambda: client.chat.completions.create(model="echo", messages=[]))
wrong = openai.OpenAI(base_url=client.base_url, api_key="wrong", max_retries=0)
fails(openai.AuthenticationError, "invalid_api_key", lambda: wrong.chat.completions.create(model="echo", messages=[{"role": "user", "content": "hi"}]))
