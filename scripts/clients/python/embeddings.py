"""POST /v1/embeddings by openai-python: every form of input, both encodings, shorter vectors, usage, errors."""

import base64
import math
import os
import struct

import openai

DIMS = 256
client = openai.OpenAI(base_url=os.environ["LANEWISE_URL"] + "/v1", api_key=os.environ["LANEWISE_KEY"], max_retries=0)


def embed(texts, **more):
    return client.embeddings.create(model="static", input=texts, **more)


def near(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def fails(kind, param, call):
    try:
        call()
    except kind as e:
        assert e.param == param and e.type == "invalid_request_error", (e.param, e.type, e.body)
        return e
    raise AssertionError(f"no {kind.__name__}")


# The client asks for base64 by itself and decodes it.
one = embed("read a file line by line")
assert one.object == "list" and one.model == "static", one
assert [d.index for d in one.data] == [0] and len(one.data[0].embedding) == DIMS
assert abs(sum(x * x for x in one.data[0].embedding) - 1) < 1e-5
assert one.usage.total_tokens == one.usage.prompt_tokens > 3, one.usage

many = embed(["sort a slice", "read a file line by line", "read the lines of a file"])
assert [d.index for d in many.data] == [0, 1, 2]
assert many.data[1].embedding == one.data[0].embedding
assert near(many.data[1].embedding, many.data[2].embedding) > near(many.data[1].embedding, many.data[0].embedding)

# Numbers and base64 are the same vectors, to the last bit.
numbers = embed("read a file line by line", encoding_format="float").data[0].embedding
assert [struct.pack("<f", x) for x in numbers] == [struct.pack("<f", x) for x in one.data[0].embedding]
raw = embed("read a file line by line", encoding_format="base64").data[0].embedding
assert base64.b64decode(raw) == b"".join(struct.pack("<f", x) for x in numbers)

# Token ids: one text, and a list of texts.
ids = embed([2000, 2001, 2002])
lists = embed([[2000, 2001, 2002], [3000]])
assert len(ids.data) == 1 and len(lists.data) == 2
assert ids.data[0].embedding == lists.data[0].embedding and ids.usage.total_tokens == 3

# Shorter vectors are the first numbers, brought to length 1.
short = embed("read a file line by line", dimensions=128).data[0].embedding
assert len(short) == 128 and near(short, one.data[0].embedding[:128]) > 0.99999
assert abs(sum(x * x for x in short) - 1) < 1e-5

# More than any upstream takes at once.
assert len(embed([f"text {i}" for i in range(3000)]).data) == 3000

assert fails(openai.NotFoundError, "model", lambda: client.embeddings.create(model="letters", input="a")).code == "model_not_found"
fails(openai.BadRequestError, "input", lambda: embed([]))
fails(openai.BadRequestError, "input", lambda: embed(["a", ""]))
fails(openai.BadRequestError, "dimensions", lambda: embed("a", dimensions=1000))
fails(openai.BadRequestError, "encoding_format", lambda: embed("a", encoding_format="int8"))
wrong = openai.OpenAI(base_url=client.base_url, api_key="wrong", max_retries=0)
assert fails(openai.AuthenticationError, None, lambda: wrong.embeddings.create(model="static", input="a")).code == "invalid_api_key"
