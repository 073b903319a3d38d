"""Training of networks by skorch.

Estimators import this module when they are fitted, since skorch takes seconds to import.
"""

import io
import json
import warnings
from contextlib import suppress
from functools import partial
from math import ceil, cos, inf, isfinite, pi

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.dataset import ValidSplit
from skorch.history import History
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from torch.utils.data import Dataset

from skwave._networks.fitting import epochs_without_fall
from skwave._networks.randomness import DrawFrom


class AutocastNet(NeuralNet):
    """Net that draws from its own generator and may compute in half precision.

    Parameters
    ----------
    *args : object
        Arguments of skorch's ``NeuralNet``.
    generator : torch.Generator
        Source of the random numbers of the module, on the device of the net.
    autocast : bool, default=False
        Whether to compute in bfloat16 on CUDA.
    **kwargs : object
        Arguments of skorch's ``NeuralNet``.
    """

    def __init__(self, *args, generator, autocast=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.generator = generator
        self.autocast = autocast

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        half = torch.autocast("cuda", torch.bfloat16, enabled=self.autocast)
        with DrawFrom(self.generator), half:
            y = super().infer(x, **fit_params)
        return y.float() if self.autocast else y


class Rows(Dataset):
    """Data set of arrays, in memory or on disk, that reads all rows of a batch at once.

    Parameters
    ----------
    X : array, shape (n_samples, ...)
        Inputs.
    y : array, shape (n_samples, ...)
        Targets.
    """

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        return torch.as_tensor(np.array(self.X[rows])), torch.as_tensor(self.y[rows])

    __getitems__ = __getitem__


class Keeper(Callback):
    """Callback that seeds epochs, keeps the state and the best weights, and stops the training.

    Parameters
    ----------
    generators : list of torch.Generator
        Sources of all random numbers.
    seed : int
        Seed of the training. Each epoch draws from a seed of its own, so that a resumed training
        draws the same.
    patience : int
        Epochs without a lower validation loss before training stops.
    tol : float
        Relative amount by which the loss must fall to count as lower.
    floor : float
        Validation loss of the first weights, which are kept unless it gets lower.
    path : Path or None
        File for the state after each epoch.
    """

    def __init__(self, generators, seed, patience, tol, floor, path):
        self.generators, self.seed = generators, seed
        self.patience, self.tol = patience, tol
        self.floor, self.path = floor, path
        self.lost = False  # whether the state could not be written

    def load(self, net):
        """Give a net the state of the last epoch, if there is a file of it.

        Parameters
        ----------
        net : NeuralNet
            Initialised.

        Raises
        ------
        ValueError
            If the file holds anything else.
        """
        self.best_ = _weights(net)
        if self.path is None or not self.path.exists():
            return
        try:
            self._restore(net)
        except Exception as error:  # whatever a file may hold
            raise ValueError(
                f"{str(self.path)!r} does not hold the state of this training, but is damaged or "
                f"another file ({type(error).__name__}): delete it to train anew, or give another "
                "checkpoint."
            ) from error

    def _restore(self, net):
        # tensors and numbers alone are read: nothing in the file is run
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        history = json.loads(state["history"])
        if not all(isinstance(epoch["train_loss"], float) for epoch in history):
            raise TypeError("losses are no numbers")
        for weights in (state["best"], state["weights"]):
            net.module_.load_state_dict(weights)
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history = History(history)
        self.best_ = state["best"]

    def _save(self, net):
        state = {
            "weights": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps(net.history.to_list()),
            "best": self.best_,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        new = self.path.with_suffix(".new")  # a file that is cut off does no harm
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(buffer.getbuffer())
            new.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            if not self.lost:
                warnings.warn(
                    f"the state of epoch {len(net.history)} was not written to the checkpoint "
                    f"{str(self.path)!r} ({error.strerror or error}): training goes on in memory, "
                    "and tries again after each epoch. Make room on the disk.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self.lost = True
        else:
            self.lost = False

    def is_over(self, net):
        """Whether the validation loss has not fallen for ``patience`` epochs.

        Parameters
        ----------
        net : NeuralNet
            With its history.

        Returns
        -------
        over : bool
            False without validation.
        """
        losses = _losses(net, "valid_loss")
        return bool(losses) and epochs_without_fall(losses, self.tol) >= self.patience

    def on_epoch_begin(self, net, **kwargs):  # numpydoc ignore=GL08
        for generator in self.generators:
            generator.manual_seed(self.seed + len(net.history))

    def on_batch_end(self, net, training, **kwargs):  # numpydoc ignore=GL08
        loss = net.history[-1, "batches", -1, "train_loss" if training else "valid_loss"]
        if not isfinite(loss):
            raise FloatingPointError(f"a loss of {loss}")

    def on_epoch_end(self, net, **kwargs):  # numpydoc ignore=GL08
        losses = _losses(net, "valid_loss")
        if not losses or losses[-1] <= min(self.floor, *losses):
            self.best_ = _weights(net)
        if self.path is not None:
            self._save(net)
        if self.is_over(net):
            raise KeyboardInterrupt  # which ends the loop of skorch


def _weights(net):
    return {name: value.detach().clone() for name, value in net.module_.state_dict().items()}


def _losses(net, name):
    return [epoch[name] for epoch in net.history if name in epoch]


def _rate(epoch, schedule, max_iter):
    if schedule == "cosine":
        return (1 + cos(pi * epoch / max_iter)) / 2
    if schedule == "steps":
        return 0.1 ** (epoch // ceil(max_iter / 3))
    return 1.0


def train(
    net_class,
    make_module,
    X,
    y,
    *,
    rows,
    seed,
    device,
    name,
    learning_rate_init,
    weight_decay,
    schedule,
    batch_size,
    max_iter,
    n_iter_no_change,
    tol=0.0,
    floor=inf,
    folder=None,
    **parameters,
):
    """Train a network by AdamW, and keep its best weights.

    All random numbers come from generators of this training: torch's global generator is neither
    used nor changed, and trainings in several threads do not disturb each other. Ctrl-C ends the
    training.

    Parameters
    ----------
    net_class : type
        Kind of ``AutocastNet``.
    make_module : callable
        Function without arguments that makes the module.
    X : array, shape (n_samples, ...)
        Inputs, in memory or on disk.
    y : ndarray, shape (n_samples, ...)
        Targets.
    rows : tuple of ndarray of int, or None
        Samples to train on, and to choose the epoch on; None for all, and the last epoch.
    seed : int
        Seed of the first weights, the order of the samples, and what else is drawn.
    device : torch.device
        Where to compute.
    name : str
        Name in the progress.
    learning_rate_init : float
        First step of the optimiser.
    weight_decay : float
        Decay of the weights.
    schedule : {"cosine", "steps"} or None
        Fall of the rate along a cosine to 0 at ``max_iter``, or by 10 after each third of the
        epochs.
    batch_size : int
        Samples of a step.
    max_iter : int
        Largest number of epochs.
    n_iter_no_change : int
        Epochs without a lower validation loss before training stops.
    tol : float, default=0.0
        Relative amount by which the loss must fall to count as lower.
    floor : float, default=inf
        Validation loss of the first weights, which are kept unless it gets lower.
    folder : Path or None, default=None
        Where to keep the state after each epoch, and to go on from.
    **parameters : object
        Other arguments of the net: the criterion, ``verbose``.

    Returns
    -------
    network : Module
        Trained network, in evaluation mode.
    loss_curve : list of float
        Training loss of each epoch.
    validation_loss_curve : list of float or None
        Loss of the samples set apart.

    Warns
    -----
    ConvergenceWarning
        If a loss was not finite: the weights are the best until then.
    """
    order = torch.Generator()
    draws = order if device.type == "cpu" else torch.Generator(device)
    path = folder and folder / "state.pt"
    keeper = Keeper([order, draws], seed, n_iter_no_change, tol, floor, path)
    rate = partial(_rate, schedule=schedule, max_iter=max_iter)
    with DrawFrom(order.manual_seed(seed)):
        module = make_module()
    net = net_class(
        module,
        generator=draws,
        lr=learning_rate_init,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=weight_decay,
        dataset=Rows,
        iterator_train__shuffle=True,
        iterator_train__generator=order,
        iterator_train__collate_fn=tuple,
        iterator_valid__generator=order,
        iterator_valid__collate_fn=tuple,
        train_split=rows and ValidSplit([rows]),
        callbacks=[("rate", LRScheduler("LambdaLR", lr_lambda=rate)), ("keeper", keeper)],
        batch_size=min(int(batch_size), len(X)),  # torch 2.4 makes a list of that length
        device=device,
        **parameters,
    ).initialize()
    keeper.load(net)
    if net.history and net.verbose:
        print(f"[{name}] goes on after {len(net.history)} epochs", flush=True)
    net.max_epochs = 0 if keeper.is_over(net) else max_iter - len(net.history)
    try:
        net.partial_fit(X, y)
    except FloatingPointError as error:
        warnings.warn(
            f"epoch {len(net.history)} had {error}: training has stopped, and the weights are "
            "the best of the epochs before. Lower learning_rate_init, or raise batch_size.",
            ConvergenceWarning,
            stacklevel=4,
        )
    net.module_.load_state_dict(keeper.best_)
    if net.history and "train_loss" not in net.history[-1]:
        net.history.pop()  # an epoch that was interrupted
    return net.module_.eval(), _losses(net, "train_loss"), rows and _losses(net, "valid_loss")


class WeightedNet(AutocastNet):
    """Net with weights of samples: columns of ``y`` are the target, one or more, and the weight.

    Weights are so split and shuffled along with the targets. The criterion gives the loss of each
    sample.
    """

    def get_loss(self, y_pred, y_true, *args, **kwargs):  # numpydoc ignore=GL08
        y, weight = y_true.to(y_pred).tensor_split([-1], 1)
        y, weight = (y if y.shape[1] > 1 else y[:, 0]), weight[:, 0]
        return (weight * super().get_loss(y_pred, y, *args, **kwargs)).mean()


class ClassLoss(CrossEntropyLoss):
    """Cross-entropy of classes that are given as floats."""

    def forward(self, scores, y):  # numpydoc ignore=GL08
        return super().forward(scores, y.long())


class LabelLoss(BCEWithLogitsLoss):
    r"""Mean over labels of the cross-entropy of each, which an image has or has not.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share :math:`\varepsilon` of the targets that is put half on each: :math:`(1 -
        \varepsilon)y + \varepsilon/2`.
    **parameters : object
        Of torch's ``BCEWithLogitsLoss``.
    """

    def __init__(self, label_smoothing=0.0, **parameters):
        super().__init__(**parameters)
        self.label_smoothing = label_smoothing

    def forward(self, scores, y):  # numpydoc ignore=GL08
        y = (1 - self.label_smoothing) * y + self.label_smoothing / 2
        return super().forward(scores, y).mean(1)
