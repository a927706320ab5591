"""`ConvClassifier` and `ConvRegressor`: networks as scikit-learn's estimators.

scikit-learn itself is not needed; where it is installed, its cross-validation, grid search and
pipelines take them.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convcli.api.training import fit
from convcli.data import Dataset, Split, make_dataset
from convcli.data.dataset import as_samples
from convcli.errors import UsageError, WrongTypeError, did_you_mean
from convcli.learn.modelfile import TrainedModel
from convcli.net import Network, network as find_network

Self = TypeVar("Self", bound="_Estimator")

BODIES = {
    2: "dense 64 relu",
    3: "conv 16 5 same relu, conv 32 5 same relu, gap",
    4: "conv 16 3 same relu, conv 32 3 same relu, gap",
}
"""What a network is made of where none is named, by the axes of the samples' array."""


class _Estimator:
    """What both have: parameters by name, and training."""

    kind: ClassVar[str]

    def __init__(
        self,
        network: str | Network | None = None,
        *,
        epochs: int = 20,
        batch: int = 32,
        lr: float | None = None,
        optimizer: str = "adam",
        weight_decay: float | None = None,
        schedule: str = "one-cycle",
        augment: str = "",
        val: float = 0.0,
        patience: int | None = None,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        """Note the parameters; those of `convcli.fit`.

        Args:
            network: notation, a preset, a file or a value; its input and its last layer are made to
                fit. None for a small one for vectors, series or pictures.
            epochs: passes over the samples.
            batch: samples of one step.
            lr: learning rate.
            optimizer: adam, adamw, sgd, nesterov, rmsprop.
            weight_decay: L2.
            schedule: of the learning rate.
            augment: random augmentation, such as `shift=2,rotate=10`.
            val: share of the samples that is held out to choose the epoch.
            patience: epochs without a better one after which it stops.
            seed: of weights, order and augmentation.
            threads: 0 for all there are; they do not change the result.
        """
        self.network = network
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.augment = augment
        self.val = val
        self.patience = patience
        self.seed = seed
        self.threads = threads

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: Self, **params: Any) -> Self:
        """Change parameters.

        Raises:
            UsageError: there is none of that name.
        """
        for name, value in params.items():
            if name not in self._names():
                hint = did_you_mean(name, self._names())
                raise WrongTypeError(f"{type(self).__name__} has no parameter {name!r}.{hint}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        told = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(told)})"

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks estimators about themselves."""
        from sklearn import utils

        tags = utils.Tags(
            estimator_type=self.kind,
            target_tags=utils.TargetTags(required=True),
            input_tags=utils.InputTags(three_d_array=True),
        )
        if self.kind == "classifier":
            tags.classifier_tags = utils.ClassifierTags()
        else:
            tags.regressor_tags = utils.RegressorTags()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _train(self: Self, data: Dataset, outputs: int, ending: str, **more: Any) -> Self:
        shape = data.sample_shape
        body = BODIES.get(len(shape) + 1)
        if self.network is None and body is None:
            raise UsageError(f"Name a network for samples of {'x'.join(map(str, shape))}.")
        default = f"input {'x'.join(map(str, shape))}, {body}, dense {outputs}{ending}"
        settings = self.get_params()
        network = settings.pop("network")
        training = fit(default if network is None else network, data, **settings, **more)
        for _ in training.events():
            pass
        self.history_ = training.history
        self.model_: TrainedModel = training.best_model()
        self.n_features_in_ = int(shape[-1])
        return self

    def _fitted(self) -> TrainedModel:
        if not hasattr(self, "model_"):
            raise UsageError(f"This {type(self).__name__} is not fitted yet: call fit(X, y) first.")
        return self.model_

    def _samples(self, samples: ArrayLike) -> NDArray[Any]:
        """Return samples as the engine holds them; of three axes by the network."""
        network = self.network
        if isinstance(network, str):
            network = find_network(network)
        pictures = network is not None and len(network.input_shape) == 3
        return as_samples("X", np.asarray(samples), pictures=pictures)


class ConvClassifier(_Estimator):
    """A network that tells classes apart, with scikit-learn's methods.

    Attributes:
        classes_: the labels, sorted.
        model_: the trained model: `save`, `evaluate` and `predict` of files and pictures.
        history_: the epochs.

    >>> X = np.array([[0.0, 1], [1, 0]] * 20, np.float32)
    >>> y = np.array(["up", "down"] * 20)
    >>> classifier = ConvClassifier("input 2, dense 2 softmax", epochs=20, lr=0.1).fit(X, y)
    >>> classifier.predict([[0.0, 1.0]]).tolist(), classifier.score(X, y)
    (['up'], 1.0)
    """

    kind = "classifier"

    def fit(self, X: ArrayLike, y: ArrayLike) -> ConvClassifier:
        """Train on N x D vectors, N x L x C series or N x H x W x C pictures, and their labels.

        Raises:
            UsageError, InputError: as `convcli.fit`.
        """
        self.classes_, numbers = np.unique(np.asarray(y), return_inverse=True)
        names = tuple(map(str, self.classes_.tolist()))
        split = Split(self._samples(X), numbers.reshape(-1).astype(np.int64))
        data = make_dataset("samples", {"train": split}, class_names=names)
        return self._train(data, len(names), " softmax")

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each class, in the order of `classes_`."""
        return self._fitted().predict(np.asarray(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the likeliest class of each sample."""
        shares = self.predict_proba(X)
        chosen: NDArray[Any] = self.classes_[shares.argmax(axis=1)]
        return chosen

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the share of right answers."""
        return float((self.predict(X) == np.asarray(y)).mean())


class ConvRegressor(_Estimator):
    """A network that tells numbers, with scikit-learn's methods.

    Attributes:
        model_: the trained model.
        history_: the epochs.

    >>> X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> regressor = ConvRegressor("input 1, dense 1", batch=8, lr=0.1).fit(X, 3 * X[:, 0] + 1)
    >>> regressor.predict(X).shape, bool(regressor.score(X, 3 * X[:, 0] + 1) > 0.99)
    ((64,), True)
    """

    kind = "regressor"

    def fit(self, X: ArrayLike, y: ArrayLike) -> ConvRegressor:
        """Train on N x D vectors, N x L x C series or N x H x W x C pictures, and their numbers.

        Args:
            X: the samples.
            y: one number, or a row of them, for each sample.

        Raises:
            UsageError, InputError: as `convcli.fit`.
        """
        targets = np.asarray(y, np.float32)
        self._single = targets.ndim == 1
        split = Split(self._samples(X), targets.reshape(len(targets), -1))
        data = make_dataset("samples", {"train": split}, task="values")
        return self._train(data, split.labels.shape[1], "")

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the numbers of each sample, shaped as `y` was."""
        found = self._fitted().predict(np.asarray(X))
        return found[:, 0] if self._single else found

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return R2, the share of the numbers' variance that is told, their mean over columns."""
        wanted, told = np.asarray(y, np.float64), self.predict(X).astype(np.float64)
        missed = ((wanted - told) ** 2).sum(axis=0)
        spread = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
        return float(np.mean(1 - missed / np.maximum(spread, np.finfo(float).tiny)))
