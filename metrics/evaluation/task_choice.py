"""Which task, figure and post-processing a command was asked for, by a card or by options."""

from __future__ import annotations

from dataclasses import dataclass

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.metrics.evaluation.origin import Decoding
from portproof.metrics.tasks import load_task, task_names


@dataclass(frozen=True)
class Choice:
    """What was asked for. ``margin``: the card's, in percentage points for a share."""

    task: str
    metric: str | None
    margin: float | None
    decoding: Decoding


def chosen(
    task: str | None, model: str | None, metric: str | None, postprocess: str | None, dtype: str
) -> Choice:
    """The options, and the card's for those that were not given; :class:`InputError` for no task,
    an unknown one, or two.
    """
    card = card_of(model) if model else None
    if task is None and card is None:
        raise InputError(
            f"a task was expected: --task with one of {', '.join(task_names())}, or --model with a"
            " card that names it"
        )
    if task is not None and card is not None and card.task != task:
        raise InputError(
            f"--task is {task} and the card '{card.name}' has the task {card.task}: leave one out"
        )
    name = task or (card.task if card else "")
    if name == "classification":
        raise InputError("classification is judged by topn and compare, with a label file")
    load_task(name)
    return Choice(
        name,
        metric or (card.metric if card else None),
        (card.margin if card else None),
        Decoding(postprocess, card, dtype),
    )


def card_of(model: str) -> Card:
    """The card of a ``--model`` option; :class:`InputError` for a zoo's name, which has no task."""
    if ":" in model and not model.endswith((".yaml", ".yml")):
        raise InputError(
            f"'{model}' is a builder's name, which has no task but classification: give a card that"
            " names its task, or --task"
        )
    return read_card(find_card(model))


def is_classification(task: str | None, model: str | None) -> bool:
    """Whether the options ask for plain classification, as a zoo's models and most cards do."""
    if task is not None:
        return task == "classification"
    zoo = model is not None and ":" in model and not model.endswith((".yaml", ".yml"))
    return zoo or (model is not None and card_of(model).task == "classification")
