"""What the reference does with each code point, as runs.

The BERT normalizer drops control characters, puts spaces around ideographs,
decomposes (NFD), drops combining marks and lowers case; the pre-tokenizer then
splits at white space and around punctuation. All of it is decided code point by
code point, except that NFD reorders combining marks: of the marks that are not
dropped (category Mc), the class is kept so that the Go side can reorder too.
"""

import unicodedata
from functools import cache

from tokenizers import Tokenizer
from tokenizers.normalizers import NFD

LETTER, ALONE, SPACE, DROP, BREAK, MARK, LONG, HANGUL = range(8)
LAST = 0x10FFFF
nfd = NFD()
def swaps(first: str, second: str) -> bool:
    """Whether the reference's NFD puts second before first."""
    return nfd.normalize_str(first + second).startswith(second)


# One mark of every combining class that the reference knows, to measure others against.
HIGHEST = "\u0345"
ladder = {240: HIGHEST}
for mark in map(chr, range(0x300, LAST + 1)):
    if unicodedata.combining(mark) not in (0, *ladder) and swaps(HIGHEST, mark):
        ladder[unicodedata.combining(mark)] = mark


@cache
def combining(char: str) -> int:
    """The canonical combining class in the reference's Unicode version, 0 for a starter."""
    if char == HIGHEST:
        return 240
    if not swaps(HIGHEST, char):
        return 0
    return next(c for c in sorted(ladder) if not swaps(char, ladder[c]))


class Classifier:
    """Asks the reference about one code point at a time."""

    def __init__(self, tokenizer: Tokenizer):
        self.normalize = tokenizer.normalizer.normalize_str
        self.split = cache(tokenizer.pre_tokenizer.pre_tokenize_str)

    def output(self, char: str) -> tuple[int, str]:
        """The kind of one normalised character, found by putting it between two letters."""
        parts = [part for part, _ in self.split("x" + char + "x")]
        if parts == ["x", "x"]:
            return SPACE, char
        if parts == ["x", char, "x"]:
            return ALONE, char
        assert parts == ["x" + char + "x"], (char, parts)
        return (MARK if combining(char) else LETTER), char

    def kind(self, char: str) -> list[tuple[int, str]]:
        """What becomes of char: a list of normalised characters with their kinds."""
        normal = self.normalize(char)
        if not normal:  # gone: as a control character before NFD, or as a mark after it
            reordered = self.normalize("\U0001d165" + char + "\u1b44") == "\u1b44\U0001d165"
            return [(DROP if reordered else BREAK, char)]
        out = [self.output(c) for c in normal]
        if len(out) == 3 and out[0][0] == out[2][0] == SPACE and out[1][0] == LETTER:
            return [(ALONE, out[1][1])]  # an ideograph between spaces is a word of its own
        return out


def runs(tokenizer: Tokenizer):
    """Yields (length, kind, value) over all code points; value is a shift, a class or a list."""
    classifier = Classifier(tokenizer)
    last, length = None, 0
    for point in range(LAST + 1):
        entry = describe(classifier, point)
        if entry == last and entry[0] != LONG:
            length += 1
            continue
        if last is not None:
            yield length, *last
        last, length = entry, 1
    yield length, *last


def describe(classifier: Classifier, point: int):
    """(kind, value) of a code point."""
    if 0xD800 <= point <= 0xDFFF:
        return DROP, 0
    if 0xAC00 <= point <= 0xD7A3:
        assert classifier.normalize(chr(point)) == unicodedata.normalize("NFD", chr(point))
        return HANGUL, 0
    out = classifier.kind(chr(point))
    if len(out) > 1:
        return LONG, tuple(out)
    kind, char = out[0]
    if kind in (LETTER, ALONE):
        return kind, ord(char) - point
    if kind == MARK:
        assert ord(char) == point
        return kind, combining(char)
    return kind, 0


def uvarint(n: int) -> bytes:
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n: int) -> bytes:
    return uvarint(n << 1 if n >= 0 else (-n << 1) - 1)


def encode(tokenizer: Tokenizer) -> bytes:
    """The runs as bytes; see characters.go for the reader."""
    out = bytearray()
    for length, kind, value in runs(tokenizer):
        out += uvarint(length) + bytes([kind])
        if kind in (LETTER, ALONE):
            out += zigzag(value)
        elif kind == MARK:
            out.append(value)
        elif kind == LONG:
            assert all(k in (LETTER, MARK) for k, _ in value), value
            out.append(len(value))
            for k, c in value:
                out += bytes([k, combining(c)]) + uvarint(ord(c))
    return bytes(out)
