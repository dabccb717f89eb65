"""Trains a classifier of handwritten digits, epoch by epoch: plain Python that knows nothing of LongTask.

Prints one line for each epoch, writes the model to a file, and leaves its result as JSON where Kubernetes looks for it.
"""

import argparse
import hashlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SIDE = 8  # pixels; a picture is 8 x 8 grey values of 0 to 16


def main(arguments: Sequence[str]) -> None:
    options = parse(arguments)
    # Python as the first process of a container would not hear it: a cancelled task should end at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped before the training was done"))

    pictures, digits = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        pictures / 16, digits, test_size=0.25, random_state=options.seed, stratify=digits
    )
    model = MLPClassifier(
        hidden_layer_sizes=(options.hidden_units,), learning_rate_init=options.learning_rate, random_state=options.seed
    )
    random = np.random.default_rng(options.seed)
    print(f"{options.model_name}: {len(train_x)} pictures to train, {len(valid_x)} to validate", flush=True)

    started = time.monotonic()
    score = validation = 0.0
    for epoch in range(1, options.epochs + 1):
        model.partial_fit(*altered(train_x, train_y, options.variants, random), classes=range(10))
        score, validation = model.score(train_x, train_y), model.score(valid_x, valid_y)
        print(f"epoch {epoch}/{options.epochs} score {score:.4f} validation {validation:.4f}", flush=True)

    result = {
        "summary": f"{options.model_name}: validation score {validation:.4f} after {options.epochs} epochs",
        "score": round(score, 4),
        "validation_score": round(validation, 4),
        "epochs": options.epochs,
        "seconds": round(time.monotonic() - started, 1),
        "artifact": save(model, options.artifacts / f"{options.model_name}.joblib"),
    }
    options.result.write_text(json.dumps(result))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-name", default="digits", help="name of the artifact")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training pictures")
    parser.add_argument("--hidden-units", type=int, default=128, help="size of the network's hidden layer")
    parser.add_argument("--learning-rate", type=float, default=0.003, help="size of a step")
    parser.add_argument("--variants", type=int, default=100, help="altered copies of each picture in an epoch")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same model")
    parser.add_argument("--artifacts", type=Path, default=Path("/artifacts"), help="folder for the model")
    parser.add_argument("--result", type=Path, default=Path("/dev/termination-log"), help="file for the result")
    return parser.parse_args(arguments)


def altered(
    pictures: np.ndarray, digits: np.ndarray, variants: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """New pictures for one epoch: each turned, moved and blurred by noise a little, `variants` times."""
    repeated = np.tile(pictures, (variants, 1)).reshape(-1, SIDE, SIDE)
    angles = np.deg2rad(random.uniform(-10, 10, len(repeated)))
    moves = random.uniform(-0.5, 0.5, (len(repeated), 2))
    centre = np.full(2, (SIDE - 1) / 2)
    moved = np.empty_like(repeated)
    for index, (picture, angle, move) in enumerate(zip(repeated, angles, moves, strict=True)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        affine_transform(picture, turn, offset=centre - turn @ centre + move, order=1, output=moved[index])
    moved += random.normal(0, 0.05, moved.shape)
    return moved.reshape(-1, SIDE * SIDE), np.tile(digits, variants)


def save(model: MLPClassifier, path: Path) -> dict[str, Any]:
    """Write the model and say what was written."""
    joblib.dump(model, path)
    content = path.read_bytes()
    return {"name": path.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


if __name__ == "__main__":
    main(sys.argv[1:])
