"""A training that agents can start: a classifier of handwritten digits, which goes on from its last epoch when its pod
goes away.
"""

import pickle
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Len
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import longtask

SIDE = 8  # pixels; a picture is 8 x 8 grey values of 0 to 16
VARIANTS = 100  # altered copies of each picture in an epoch


@dataclass(frozen=True)
class TrainingReport:
    """What came of a training.

    Attributes:
        summary: The result in a sentence.
        score: Share of the training pictures that the model reads right.
        validation_score: The same for pictures that it never saw.
        epochs: How often it went through the training pictures.
        first_epoch: The epoch that the last attempt began with; 1 unless it went on from a checkpoint.
    """

    summary: str
    score: float
    validation_score: float
    epochs: int
    first_epoch: int


@longtask.task
def model_training(
    ctx: longtask.Context,
    model_name: Annotated[str, Len(1, 40)] = "digits",
    epochs: Annotated[int, Ge(1), Le(2000)] = 10,
    hidden_units: Annotated[int, Ge(8), Le(512)] = 128,
    learning_rate: Annotated[float, Ge(0.00001), Le(0.1)] = 0.003,
) -> TrainingReport:
    """Trains a neural network that reads handwritten digits (0 to 9, pictures of 8 x 8) and measures it on pictures
    that it never saw. Use it when somebody asks for a new digits model or wants to compare settings. One epoch takes
    about 2 seconds on one core. The result has the scores; the model itself is the artifact model.pickle.

    Args:
        model_name: What to call the model.
        epochs: How many times to go through the training pictures. More epochs, better score, up to about 20.
        hidden_units: Size of the network's hidden layer.
        learning_rate: Size of a training step.
    """
    pictures, digits = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        (pictures / 16).astype(np.float32), digits, test_size=0.25, random_state=0, stratify=digits
    )
    state = ctx.resume()
    if state is None:
        model = MLPClassifier((hidden_units,), learning_rate_init=learning_rate, random_state=0)
        random, done = np.random.default_rng(0), 0
    else:
        model, random, done = pickle.loads(state)
    first_epoch = done + 1
    ctx.log(f"{model_name}: {len(train_x)} pictures, attempt {ctx.attempt} begins with epoch {first_epoch}")

    for epoch in range(first_epoch, epochs + 1):
        ctx.raise_if_cancelled()
        model.partial_fit(*altered(train_x, train_y, random), classes=range(10))
        validation = model.score(valid_x, valid_y)
        ctx.log(f"epoch {epoch}/{epochs} validation {validation:.4f}")
        ctx.checkpoint(pickle.dumps((model, random, epoch)))
        ctx.progress(epoch, epochs, unit="epoch", metrics={"loss": model.loss_, "validation": validation})

    ctx.artifact("model.pickle", pickle.dumps(model))
    score, validation = model.score(train_x, train_y), model.score(valid_x, valid_y)
    return TrainingReport(
        summary=f"{model_name}: validation score {validation:.4f} after {epochs} epochs",
        score=round(score, 4),
        validation_score=round(validation, 4),
        epochs=epochs,
        first_epoch=first_epoch,
    )


def altered(pictures: np.ndarray, digits: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """New pictures for one epoch: each turned, moved and blurred by noise a little, VARIANTS times."""
    repeated = np.tile(pictures, (VARIANTS, 1)).reshape(-1, SIDE, SIDE)
    angles = np.deg2rad(random.uniform(-10, 10, len(repeated)))
    moves = random.uniform(-0.5, 0.5, (len(repeated), 2))
    centre = np.full(2, (SIDE - 1) / 2)
    moved = np.empty_like(repeated)
    for index, (picture, angle, move) in enumerate(zip(repeated, angles, moves, strict=True)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        affine_transform(picture, turn, offset=centre - turn @ centre + move, order=1, output=moved[index])
    moved += random.normal(0, 0.05, moved.shape).astype(np.float32)
    return moved.reshape(-1, SIDE * SIDE), np.tile(digits, VARIANTS)
