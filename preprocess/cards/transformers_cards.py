"""Cards of transformers' encoders: token ids in, the last hidden state out."""

from __future__ import annotations

from portproof.card import Card, Input, Output

#: Tokens of a sample; what the usual benchmarks of encoders take.
TOKENS = 128


def card_of(name: str) -> Card:
    """The card of ``transformers:NAME``. The answer's width is known only to the configuration,
    which the card's options may change.
    """
    return Card(
        name=name,
        builder=f"transformers:{name}",
        inputs=(Input(name="input_ids", shape=(TOKENS,), dtype="int64", layout="NL"),),
        outputs=(Output(name="last_hidden_state"),),
    )
