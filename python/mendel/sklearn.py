"""scikit-learn's habits: an estimator that trains a model of Mendel.

scikit-learn is not needed; where it is there, this is one of its estimators (1.6 or newer)."""

from __future__ import annotations

import inspect
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._config import ConfigLike
from ._data import Data
from ._predictor import Predictor
from ._train import train

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data

    _with_sklearn = True
except ImportError:
    _with_sklearn = False

    class ClassifierMixin:  # type: ignore[no-redef]
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            right = self.predict(X) == np.asarray(y)  # type: ignore[attr-defined]
            return float(np.average(right, weights=sample_weight))

    class BaseEstimator:  # type: ignore[no-redef]
        def get_params(self, deep: bool = True) -> dict[str, Any]:
            names = list(inspect.signature(type(self).__init__).parameters)[1:]
            return {name: getattr(self, name) for name in names}

        def set_params(self, **params: Any) -> BaseEstimator:
            for name, value in params.items():
                if name not in self.get_params():
                    raise ValueError(f"{type(self).__name__} has no parameter {name}")
                setattr(self, name, value)
            return self


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images.

    ``config`` is as for :func:`mendel.train`, ``checkpoint`` a file that keeps the final weights,
    ``random_state`` the seed.  ``backend`` and ``threads`` are as for :class:`mendel.Predictor`; like
    the seed they go before ``config`` unless they are None.  ``batch`` is how many images are
    predicted at once.

    ``X`` is an array ``[n, height, width]`` or ``[n, height, width, channels]``, or flat rows
    ``[n, height * width * channels]`` with ``image_shape`` of two or three numbers; without it a row
    is an image of one line.  uint8 is taken as it is.  Of any other dtype, the least and the
    greatest value in ``fit`` become 0 and 255, and what lies beyond them in ``predict`` is cut off.
    ``y`` are labels of any kind.

    >>> import numpy
    >>> from mendel.sklearn import ImageClassifier
    >>> x = numpy.repeat(numpy.arange(40, dtype=numpy.uint8) % 2 * 200, 64).reshape(40, 8, 8)
    >>> y = numpy.where(x[:, 0, 0] > 0, "bright", "dark")
    >>> config = {"model.kind": "mlp", "data.size": "native", "train": {"epochs": 10, "batch": 8}}
    >>> classifier = ImageClassifier(config, random_state=1).fit(x, y)
    >>> print(classifier.predict(x[:2]), classifier.score(x, y))
    ['dark' 'bright'] 1.0
    """

    def __init__(
        self,
        config: ConfigLike = None,
        image_shape: tuple[int, ...] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | None = None,
        backend: str | None = None,
        threads: int | None = None,
        batch: int = 64,
    ) -> None:
        self.config = config
        self.image_shape = image_shape
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.backend = backend
        self.threads = threads
        self.batch = batch

    def fit(self, X: Any, y: Any) -> ImageClassifier:
        """Train on images ``X`` with labels ``y``."""
        X, y = self._check_fit(X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y: a classifier needs more than one class; there is only one class")
        self.value_range_ = None if X.dtype == np.uint8 else (float(X.min()), float(X.max()))
        wishes = {"seed": self.random_state, "backend": self.backend, "threads": self.threads}
        own = {f"run.{key}": value for key, value in wishes.items() if value is not None}
        given = self.config if isinstance(self.config, (tuple, list)) else (self.config or {},)
        data = Data(train=(self._images(X), labels), classes=len(self.classes_))
        with tempfile.TemporaryDirectory() as folder:
            path = self.checkpoint or os.path.join(folder, "final.safetensors")
            self.result_ = train((*given, own), data, checkpoint=path)
            with open(path, "rb") as file:
                self.weights_ = file.read()
        self._predictors: list[Predictor] = []
        return self

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, float64 ``[n, classes]``, in the order of ``classes_``."""
        images = self._images(self._check_predict(X))
        # With model.classes the model may have more classes than there were in fit.
        chances = self._opened().probabilities(images)[:, : len(self.classes_)]
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each image."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _check_fit(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        if _with_sklearn:
            X, y = validate_data(self, X, y, allow_nd=True)
            check_classification_targets(y)
            return X, y
        X, y = _finite(X), np.asarray(y)
        if y.shape != (len(X),):
            raise ValueError(f"y: expected {len(X)} labels, got the shape {list(y.shape)}")
        return X, y

    def _check_predict(self, X: Any) -> NDArray[Any]:
        if _with_sklearn:
            check_is_fitted(self)
            return np.asarray(validate_data(self, X, reset=False, allow_nd=True))
        if not hasattr(self, "weights_"):
            raise ValueError("this ImageClassifier is not fitted yet; call fit first")
        return _finite(X)

    def _images(self, X: NDArray[Any]) -> NDArray[Any]:
        """X as bytes [n, height, width, channels]."""
        if X.dtype != np.uint8 and self.value_range_ is not None:
            low, high = self.value_range_
            scaled = (X.astype(np.float64) - low) * (255 / (high - low) if high > low else 1.0)
            X = np.clip(scaled.round(), 0, 255).astype(np.uint8)
        if X.ndim == 2:
            X = X.reshape(len(X), *(self.image_shape or (1, X.shape[1])))
        return X

    def _opened(self) -> Predictor:
        """The predictor, opened where it is first needed, also after unpickling."""
        if not self._predictors:
            with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
                file.write(self.weights_)
                file.flush()
                self._predictors.append(
                    Predictor(file.name, self.backend or "cpu", self.threads or 0, self.batch)
                )
        return self._predictors[0]

    def __getstate__(self) -> dict[str, Any]:
        parent = getattr(super(), "__getstate__", None)
        state = dict(parent() if parent is not None else self.__dict__)
        if "_predictors" in state:
            state["_predictors"] = []
        return state


def _finite(X: Any) -> NDArray[Any]:
    array = np.asarray(X)
    if array.dtype.kind not in "uif":
        raise ValueError(f"X: expected numbers, got an array of {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError("X: there are values that are not finite")
    return array
