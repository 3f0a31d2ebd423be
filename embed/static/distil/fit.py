"""Fits the vectors of the word pieces to what the transformer says of sentences.

model2vec's vectors are what the transformer makes of one word piece alone. Here
they are the start. A sentence's static vector is the mean of its pieces' vectors;
the pieces are moved so that it comes near the transformer's vector of the
sentence, and no further than that pays (ridge regression around the start, after
A. Hoerl and R. Kennard, Technometrics 1970; solved by conjugate gradients, M.
Hestenes and E. Stiefel, 1952). Pieces that no sentence holds stay where they were.

Of the result, the first principal components say little but "this is English" and
are left out (J. Mu and P. Viswanath, All-but-the-Top, ICLR 2018); the next 256 are
the model. The figures below were chosen by the agreement of the ten nearest
neighbours with the transformer's on sentences that are in neither the sample nor
the questions of internal/quality.
"""

import reference  # first: it settles threads and kernels

import numpy as np
import scipy.sparse
from model2vec import StaticModel
from model2vec.distill.inference import compute_weights

HOLD = 0.1  # how strongly the pieces are held at the start
STEPS = 40  # of the conjugate gradients
SKIP = 4  # principal components left out


def means(tokenizer, sentences: list[str]) -> scipy.sparse.csr_matrix:
    """A row per sentence: multiplied with the pieces' vectors, it gives their mean."""
    unknown = tokenizer.token_to_id("[UNK]")
    ids = [[i for i in e.ids if i != unknown] for e in tokenizer.encode_batch(sentences, add_special_tokens=False)]
    rows = np.repeat(np.arange(len(ids)), [len(i) for i in ids])
    shares = np.concatenate([np.full(len(i), 1 / len(i)) for i in ids if i])
    return scipy.sparse.csr_matrix((shares, (rows, np.concatenate(ids).astype(int))), (len(ids), tokenizer.get_vocab_size()))


def ridge(mean, start: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Minimises |mean @ x - target|^2 + HOLD |x - start|^2, column by column."""
    back = mean.T.tocsr()
    move = np.zeros_like(start)
    rest = back @ (target - mean @ start)
    step, square = rest.copy(), (rest**2).sum(axis=0)
    for _ in range(STEPS):
        applied = back @ (mean @ step) + HOLD * step
        length = square / (step * applied).sum(axis=0)
        move += length * step
        rest -= length * applied
        before, square = square, (rest**2).sum(axis=0)
        step = rest + square / before * step
    return start + move


def principal(vectors: np.ndarray) -> np.ndarray:
    """The directions in which vectors differ most, in columns, with fixed signs."""
    centred = vectors - vectors.mean(axis=0)
    found = np.linalg.eigh(centred.T @ centred / len(centred))[1][:, ::-1]
    largest = np.abs(found).argmax(axis=0)
    found = found * np.sign(found[largest, range(found.shape[1])])
    return found[:, SKIP : SKIP + reference.DIMS]


def fitted(sentences: list[str]) -> StaticModel:
    """The static model in float32."""
    model = reference.pieces()
    alone = model.embedding.astype(np.float64)
    start = (alone - alone.mean(axis=0)) * compute_weights(len(alone), 1e-4)[:, None]
    mean = means(reference.plain(model.tokenizer), sentences)

    target = reference.transformer().encode(sentences, batch_size=64, normalize_embeddings=True).astype(np.float64)
    target -= target.mean(axis=0)
    target *= np.linalg.norm(mean @ start) / np.linalg.norm(target)  # as long as the start, on the whole

    vectors = ridge(mean, start, target)
    vectors = (vectors @ principal(mean @ vectors)).astype(np.float32)
    return StaticModel(vectors, model.tokenizer, normalize=True)
