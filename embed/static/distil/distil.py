"""Makes model.bin, the model that is compiled into the Go package.

    python distil.py          write ../model.bin
    python distil.py --check  make it again and compare

Layout, little endian; model.go reads it:

    0   4  "LWSM"
    4   4  format version, 1
    8   4  rows
    12  4  dims
    16  4  bytes of the vocabulary
    20  4  bytes of the character table
    24  4  CRC-32 (IEEE) of the whole file with these four bytes left out
    28  4  zero
    32     vocabulary: the tokens by id, each followed by a newline
           character table: see characters.py
           weights: uint16 per row
           rows: uint8 per number, 128 more than the signed value

A row's vector is (byte - 128) * weight, up to one factor for the whole model,
which does not matter because every text's vector is brought to length 1.
"""

import reference  # first: it settles threads and kernels

import struct
import sys
import zlib

import numpy as np

import characters
import fit
import texts

OUT = reference.PACKAGE / "model.bin"


def quantize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows, as uint8 with 128 added, and a uint16 weight for each."""
    rows = rows.astype(np.float64)
    scale = np.abs(rows).max(axis=1) / 127
    weight = np.clip(np.rint(scale / scale.max() * 65535), 1, 65535)
    step = weight * scale.max() / 65535
    signed = np.clip(np.rint(rows / step[:, None]), -127, 127)
    return (signed + 128).astype(np.uint8), weight.astype("<u2")


def build() -> bytes:
    model = fit.fitted(texts.sample())
    model.save_pretrained(reference.FLOAT_MODEL)
    tokenizer = reference.plain(model.tokenizer)
    rows, weights = quantize(model.embedding)
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    assert len(tokens) == len(rows) and not any("\n" in token for token in tokens)
    vocabulary = "".join(token + "\n" for token in tokens).encode()
    table = characters.encode(tokenizer)
    head = struct.pack("<4sIIIII", b"LWSM", 1, *rows.shape, len(vocabulary), len(table))
    body = bytes(4) + vocabulary + table + weights.tobytes() + rows.tobytes()
    print(f"{rows.shape[0]} tokens x {rows.shape[1]}, vocabulary {len(vocabulary)} bytes, characters {len(table)} bytes")
    return head + struct.pack("<I", zlib.crc32(head + body)) + body


def main() -> None:
    data = build()
    if "--check" in sys.argv:
        old = OUT.read_bytes()
        same = sum(a == b for a, b in zip(old, data))
        print(f"{max(len(old), len(data)) - same} of {len(old)} bytes differ")
        sys.exit(old != data)
    OUT.write_bytes(data)
    print(f"{OUT.name}: {len(data)} bytes, CRC-32 {zlib.crc32(data):08x}")


if __name__ == "__main__":
    main()
