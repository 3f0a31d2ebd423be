"""Records the reference's answers that the Go tests compare with, in ../testdata.

    tokens.jsonl      texts and the ids of their tokens; "repeat" repeats the text
    codepoints.txt    for every 256 code points, a CRC-32 of the words around them
    vectors.jsonl     texts and their vectors, float32, little endian, in base64
"""

import reference  # first: it settles threads and kernels

import base64
import json
import random
import zlib

import numpy as np
from model2vec import StaticModel

SEED = 20240229
WORDS = 1900  # texts made by chance, beside those written by hand

BY_HAND = [
    "", " ", "\n\t\r ", "a", "A", "é", "ß", "İstanbul", "ﬁne ﬂow", "ǅ ǆ Ǆ", "ΑΣ ΑΣΑ ς", "STRASSE straße",
    "Hello, world!", "don't stop", "rock'n'roll", "e-mail@example.org", "https://example.org/a?b=c&d=%20#e",
    "func (s *Scanner) Scan() bool", "net/http.Client.Do", "x+=1; y->z", "[CLS] [SEP] [PAD] [UNK] [MASK]", "##ing", "# # ##",
    "café naïve coöperate façade jalapeño", "cafe\u0301", "A\u030a \u00c5 \u212b", "Tiếng Việt rất hay", "Żółw źdźbło ćma",
    "Привет, мир", "Ёлка и ёж, й и Й", "Ελληνικά κείμενα", "日本語のテキスト", "中文字符测试", "漢字とカタカナとひらがな", "한국어 문장입니다",
    "각힣가", "हिन्दी में पाठ", "தமிழ் உரை", "ไทยไม่มีช่องว่าง", "نص عربي مع تشكيل مُحَمَّد", "עברית עם נִקּוּד", "ქართული ენა", "Հայերեն", "አማርኛ",
    "😀 😃👍🏽 👨‍👩‍👧‍👦 🇩🇪", "a😀b", "☃❄️✈️", "①②③ ⅷ ½ ㎏ ﷺ", "Ａｂｃ１２３", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒜𝓁𝓅𝒽𝒶",
    "zero\u200bwidth\u200cnon\u200djoin\u2060er\ufeff", "soft\u00adhyphen", "no\u00a0break\u202fspace\u3000wide", "line\u2028and\u2029paragraph", "next\u0085line",
    "nul\x00byte", "bell\x07\x08back", "\x1b[31mred\x1b[0m", "tab\tnew\nline\r\nform\x0cvert\x0bend", "del\x7fete \x80\x9f", "a\u200e\u200fb\u202ec",
    "\ufffd", "a\ufffdb", "\ue000private\uf8ff", "\U000f0000plane", "\u0378\u0379unassigned", "\U0001fae8new emoji", "\U0010ffff",
    "\u0301alone", "\u0301", "o\u0308\u0304\u0323", "q\u0323\u0307 q\u0307\u0323", "\u1100\u1161\u11a8", "\u302e\u302f", "x\u302e\u302fy",
    "a\U0001d165\u1b44b", "a\u1b44\U0001d165b", "a\U0001d165\u0941\u1b44b", "a\U0001d165\x07\u1b44b", "a\U0001d165\u0301\u1b44b", "a\U0001d160\u1b44\U0001d16d",
    "\u0344\u0f73\u0f75\u0f81", "\u0958\u09cb\u0bca\u0cca\u0d4a", "\uf900\ufa0e\U0002f800", "\u037e\u0387\u1fef", "\u2126\u212a\u212b", "\u1e9e\u0130\u0131",
    "«quoted» „low“ ‘single’ ‹angle› … — – ‑ •", "。，、；：？！「」『』（）", "¿Qué? ¡Sí!", "؟ ، ؛ ۔", "$5 £6 €7 ¥8 ₿9", "a+b=c<d>e|f~g`h^i", "±×÷≠≤≥∞∑√", "100%‰",
    "©®™", "3.14 1,000,000 0xFF 1e-9", "v1.2.3-rc.1+build.5", "C++ C# F# .NET", "snake_case camelCase kebab-case", "ALLCAPS MixedCase", "x" * 99, "x" * 100, "x" * 101,
    "é" * 100, "é" * 101, "日" * 120, "한" * 33, "한" * 34, "각" * 33, "각" * 34, "a" * 60 + "\u200b" * 60 + "b" * 40, "e\u0301" * 100, "\U0001d165" * 101,
    "ab" * 50 + "\u0301", "(" * 300, "." * 150 + "a", "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis", "Donaudampfschifffahrtsgesellschaft",
    "supercalifragilisticexpialidocious 🙂!", "unbelievably unputdownable", "qwrtpsdfg zxcvbn", "goroutine mutex semaphore", "kubernetes kubectl etcd grpc",
]
REPEATED = [("a", 100_000), ("ab ", 20_000), ("é", 50_000), ("\u0301", 30_000), ("\U0001d165\u1b44", 10_000), ("日", 5_000), ("!", 5_000), ("\u200b", 20_000), ("goroutine", 11_000)]
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xFFF),
          (0x1100, 0x11FF), (0x1B00, 0x1BFF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x23FF), (0x3000, 0x30FF), (0x4E00, 0x4FFF),
          (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x10000, 0x11FFF), (0x1D100, 0x1D1FF), (0x1F300, 0x1FAFF), (0, 0x10FFFF)]
SEPARATORS = [" ", " ", " ", " ", "", "", ", ", ". ", "-", "\n", "\t", "'", "/", "_", "\u00a0", "\u200b"]


def one_char(chance: random.Random) -> str:
    while True:
        point = chance.randint(*chance.choice(RANGES))
        if not 0xD800 <= point <= 0xDFFF:
            return chr(point)


def cased(chance: random.Random, word: str) -> str:
    return chance.choice([str, str, str.upper, str.title])(word)


def by_chance(chance: random.Random, tokens: list[str]) -> str:
    """A text of word pieces, of characters from everywhere, or of both."""
    parts = []
    for _ in range(chance.randint(1, 14)):
        if chance.random() < 0.6:
            parts.append(cased(chance, chance.choice(tokens).removeprefix("##")))
        else:
            parts.append("".join(one_char(chance) for _ in range(chance.randint(1, 6))))
        parts.append(chance.choice(SEPARATORS))
    return "".join(parts)


def write(name: str, lines) -> None:
    path = reference.TESTDATA / name
    with path.open("w", encoding="ascii", newline="\n") as out:
        for line in lines:
            out.write(line + "\n")
    print(f"{name}: {path.stat().st_size} bytes")


def digest(tokenizer, first: int) -> str:
    """A checksum of the words of two texts around each of 256 code points."""
    crc = 0
    for point in range(first, first + 256):
        if 0xD800 <= point <= 0xDFFF:
            continue
        for text in (f"a{chr(point)}b", f"x\U0001d165{chr(point)}\u1b44"):
            for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
                crc = zlib.crc32(word.encode() + b"\0", crc)
        crc = zlib.crc32(b"\n", crc)
    return f"{first:06x} {crc:08x}"


def main() -> None:
    model = StaticModel.from_pretrained(reference.FLOAT_MODEL, force_download=False)  # distil.py made it
    tokenizer = reference.plain(model.tokenizer)
    tokens = list(model.tokens[2:])
    chance = random.Random(SEED)
    texts = list(dict.fromkeys(BY_HAND + [by_chance(chance, tokens) for _ in range(WORDS)]))
    cases = [{"text": t, "ids": tokenizer.encode(t).ids} for t in texts]
    cases += [{"text": t, "repeat": n, "crc": zlib.crc32(np.array(tokenizer.encode(t * n).ids, "<u4").tobytes())} for t, n in REPEATED]
    write("tokens.jsonl", (json.dumps(c, separators=(",", ":")) for c in cases))
    write("codepoints.txt", (digest(tokenizer, p) for p in range(0, 0x110000, 256)))

    sample = [t for t in texts if "[" not in t]
    sample = sample[:60] + chance.sample(sample[60:], 140)
    vectors = model.encode(sample, max_length=None).astype("<f4")
    rows = ({"text": t, "vector": base64.b64encode(v.tobytes()).decode()} for t, v in zip(sample, vectors))
    write("vectors.jsonl", (json.dumps(r, separators=(",", ":")) for r in rows))


if __name__ == "__main__":
    main()
