"""How a program with types uses the package, every public name of it.  It is not run: mypy --strict
must have nothing to say of it (test_types.py)."""

from __future__ import annotations

from typing import Any

import mendel
import numpy as np
from mendel.sklearn import ImageClassifier
from numpy.typing import NDArray


def tell(epoch: dict[str, Any]) -> bool:
    return bool(epoch["epoch"] > 5)


def progress(what: str, done: int, total: int) -> None:
    print(f"{what}: {done} of {total}")


def work(x: NDArray[np.uint8], y: NDArray[np.int64]) -> float:
    config: dict[str, Any] = {"model.kind": "mlp", "train": {"epochs": 3}}
    names = ["a.safetensors", "b.safetensors"]
    plan: dict[str, Any] = mendel.plan(config, (x, y))
    print(plan["total"], mendel.version(), mendel.__version__, mendel.devices()[0]["name"])
    print([key["name"] for key in mendel.keys()])
    with mendel.Data(train=(x, y), class_names=["even", "odd"]) as data:
        result: dict[str, Any] = mendel.train(
            (config, {"run.seed": 1}), data, checkpoint=names[0], on_step=tell, on_epoch=tell
        )
        mendel.merge(names, "c.safetensors", "slerp", data, ratio=0.3)
        mendel.evolve(names, "search", data, config, on_step=lambda step: step["best_top1"] > 0.9)
        mendel.align(names[0], names[1], "d.safetensors", "activations", data)
        mendel.interpolate(names[0], names[1], data, points=3)
        mendel.recalibrate(names[0], "e.safetensors", data)
        mendel.compare(names[0], [names[1]], data, on_progress=progress)
        facts: dict[str, Any] = data.describe()
    mendel.export(names[0], "a.onnx", with_preprocessing=True)
    mendel.convert(names[0], "half.safetensors", dtype="f16")
    mendel.experiment(config, "comparison", on_progress=lambda is_at: None)
    mendel.report("comparison", html="page.html")
    text: str = mendel.report_text("comparison", columns=100, tests=True)
    print(text, mendel.run_status("comparison")["state"], facts["classes"])
    mendel.fetch("cifar10", on_progress=lambda done, total: done > total)
    accuracy: float = mendel.evaluate(names[0], mendel.Data.open("digits"), logits=True)["top1"]
    return accuracy + float(result["train_top1"])


def predict(x: NDArray[np.uint8], files: list[str]) -> NDArray[np.float32]:
    try:
        with mendel.Predictor("a.safetensors", threads=1, batch=8) as predictor:
            shape: mendel.Shape = predictor.shape
            classes: NDArray[np.intp] = predictor.predict(x)
            chances: NDArray[np.float64] = predictor.probabilities(x)
            logits, errors = predictor.logits_of_files(files)
            first: mendel.MendelError | None = errors[0]
            print(shape.height, classes, chances, logits, first, predictor.class_names)
            return predictor.logits(x)
    except (mendel.ConfigError, mendel.DataError, mendel.DeviceError) as error:
        raise SystemExit(error.status) from error
    except (mendel.NumericError, mendel.MemoryLimitError, mendel.Cancelled) as error:
        raise SystemExit(str(error)) from error


def estimate(x: NDArray[np.float32], labels: list[str]) -> float:
    classifier = ImageClassifier({"model.kind": "mlp"}, random_state=1).fit(x, labels)
    print(classifier.predict(x), classifier.predict_proba(x))
    return float(classifier.score(x, labels))
