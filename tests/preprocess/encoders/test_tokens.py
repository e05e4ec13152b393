"""Token ids equal those of Hugging Face's tokenizers, and hostile texts end in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.preprocess.dataset.sequence_files import Source
from portproof.preprocess.encoders.tokens import encoder
from portproof.sequence import Tokens

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["the", "un", "##aff", "##able", "want", "##ed", "run", "##ning", ",", "!", "low", "cafe"]
VOCABULARY = [*SPECIAL, *WORDS, *"abcdeé中文", *(f"##{c}" for c in "abcde")]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("\n".join(VOCABULARY) + "\n")
    return tmp_path


def encoded(folder, text, pair=None, **options):
    sequence = Tokens(vocabulary="vocabulary.txt", parts=("ids", "mask", "types"), **options)
    return encoder(sequence, folder)(Source("a", text=text, pair=pair))


def test_the_example_of_berts_own_test(folder) -> None:
    found = encoded(folder, "UNwant\u00e9d,running", length=12, lowercase=True)
    tokens = [VOCABULARY[i] for i in found.arrays["ids"]]
    # "##want" is no token of this vocabulary, so the first word is unknown.
    assert tokens[:6] == ["[CLS]", "[UNK]", ",", "run", "##ning", "[SEP]"]
    np.testing.assert_array_equal(found.arrays["mask"], [1] * 6 + [0] * 6)


TEXTS = st.lists(
    st.sampled_from([*"abcde ABCÉé,!.中文\t\n\u00a0\u200b\u0301", " the ", " unaffable "]),
    max_size=40,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, pair=st.none() | TEXTS, lowercase=st.booleans(), length=st.integers(8, 24))
def test_ids_mask_and_types_are_those_of_tokenizers(text, pair, lowercase, length) -> None:
    tokenizers = pytest.importorskip(
        "tokenizers", reason="the independent reference 'tokenizers' is not installed"
    )
    import tempfile
    from pathlib import Path

    known = {token: number for number, token in enumerate(VOCABULARY)}
    model = tokenizers.models.WordPiece(known, unk_token="[UNK]", max_input_chars_per_word=100)
    reference = tokenizers.Tokenizer(model)
    reference.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=lowercase,
        lowercase=lowercase,
    )
    reference.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    reference.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    reference.enable_truncation(length)
    reference.enable_padding(length=length)
    wanted = reference.encode(text, pair)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "vocabulary.txt").write_text("\n".join(VOCABULARY) + "\n")
        found = encoded(Path(scratch), text, pair, length=length, lowercase=lowercase).arrays
    assert found["ids"].tolist() == wanted.ids
    assert found["mask"].tolist() == wanted.attention_mask
    assert found["types"].tolist() == wanted.type_ids


@pytest.mark.parametrize(
    ("algorithm", "wanted"),
    [("words", ["the", "[UNK]", "cafe"]), ("characters", ["[UNK]"] * 3)],
)
def test_words_and_characters(folder, algorithm, wanted) -> None:
    text = "the fox cafe" if algorithm == "words" else "xyz"
    found = encoded(folder, text, length=8, algorithm=algorithm, first=None, last=None)
    assert [VOCABULARY[i] for i in found.arrays["ids"]][:3] == wanted
    assert found.arrays["mask"].sum() == 3


def test_a_long_text_is_cut_or_refused(folder) -> None:
    assert encoded(folder, "the " * 20, length=8).cut
    with pytest.raises(InputError, match="20 tokens and there is room for 6"):
        encoded(folder, "the " * 20, length=8, too_long="refuse")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n", "more than once"),
        ("[PAD]\n[UNK]\n[CLS]\n", r"no token \[SEP\]"),
        ("", "no token"),
    ],
)
def test_a_vocabulary_that_cannot_serve_is_refused(tmp_path, lines, reason) -> None:
    (tmp_path / "vocabulary.txt").write_text(lines)
    with pytest.raises(InputError, match=reason):
        encoded(tmp_path, "a", length=8)
