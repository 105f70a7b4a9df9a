"""The estimator, and where scikit-learn is there, what it demands of its estimators."""

import pickle
import unittest
import warnings

import numpy as np
from mendel.sklearn import ImageClassifier
from scratch import Scratch

try:
    import sklearn
    from sklearn.utils.estimator_checks import check_estimator
except ImportError:
    sklearn = None

CONFIG = {
    "model.kind": "mlp",
    "data": {"size": "native", "validation_fraction": 0},
    "train": {"epochs": 20, "batch": 8},
    "optim.lr": 0.005,
    "run.tuning": "off",
}


class Estimator(Scratch):
    def setUp(self):
        random = np.random.default_rng(2)
        self.labels = np.array(["cat", "dog", "owl"])[np.arange(60) % 3]
        self.x = random.integers(0, 60, [60, 6, 5], dtype=np.uint8)
        self.x[np.arange(60), np.arange(60) % 3] += 180
        self.classifier = ImageClassifier(CONFIG, random_state=3, threads=1)

    def test_habits(self):
        fitted = self.classifier.fit(self.x, self.labels)
        self.assertIs(fitted, self.classifier)
        self.assertEqual(list(fitted.classes_), ["cat", "dog", "owl"])
        self.assertGreater(fitted.score(self.x, self.labels), 0.95)
        chances = fitted.predict_proba(self.x)
        np.testing.assert_array_equal(fitted.classes_[chances.argmax(1)], fitted.predict(self.x))
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.predict_proba(self.x), chances)

    def test_rows(self):
        images = self.classifier.fit(self.x, self.labels).predict_proba(self.x)
        rows = self.x.reshape(60, 30)
        for shape in (6, 5), (6, 5, 1):
            flat = ImageClassifier(CONFIG, shape, random_state=3, threads=1)
            chances = flat.fit(rows, self.labels).predict_proba(rows)
            np.testing.assert_array_equal(chances, images)

    def test_floats(self):
        x = self.x / 255.0
        fitted = self.classifier.fit(x, self.labels)
        self.assertGreater(fitted.score(x, self.labels), 0.95)
        self.assertEqual(fitted.predict(x * 10 - 5).shape, (60,))

    def test_model_of_more_classes(self):
        wide = ImageClassifier([CONFIG, {"model.classes": 9}], random_state=3, threads=1)
        chances = wide.fit(self.x, self.labels).predict_proba(self.x)
        np.testing.assert_allclose(chances.sum(1), np.ones(60))
        self.assertEqual(chances.shape, (60, 3))
        self.assertTrue(set(wide.predict(self.x)) <= {"cat", "dog", "owl"})

    def test_parameters(self):
        self.assertEqual(self.classifier.get_params()["random_state"], 3)
        self.classifier.set_params(random_state=4, batch=7)
        self.assertEqual((self.classifier.random_state, self.classifier.batch), (4, 7))
        with self.assertRaises(ValueError):
            self.classifier.set_params(depth=3)

    def test_wrong(self):
        with self.assertRaises(ValueError):
            self.classifier.predict(self.x)
        for x, y in (
            (np.full([4, 3, 3], np.nan), [0, 1, 0, 1]),
            (self.x, self.labels[:5]),
            (self.x, ["one"] * 60),
        ):
            with self.assertRaises(ValueError):
                ImageClassifier(CONFIG).fit(x, y)
        with self.assertRaises(ValueError):
            ImageClassifier(CONFIG, (2, 2)).fit(self.x.reshape(60, 30), self.labels)

    @unittest.skipIf(sklearn is None, "scikit-learn is not there")
    def test_check_estimator(self):
        # Rows of any length are images of one line.  Nothing is excluded: scikit-learn itself skips
        # its checks of pandas and of other array libraries where those are not there.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(ImageClassifier(CONFIG, random_state=1, threads=1))
        self.assertGreater(sum(result["status"] == "passed" for result in results), 40)


if __name__ == "__main__":
    unittest.main()
