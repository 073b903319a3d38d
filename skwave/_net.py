"""What our nets of skorch share; apart, since skorch takes seconds to import."""

from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from skorch import NeuralNet
from skorch.callbacks import Checkpoint, EarlyStopping, LRScheduler
from skorch.utils import noop
from torch.utils.data import Dataset, Subset


class WeightedNet(NeuralNet):
    """Net for ``fit(X, y)`` where ``y`` has the columns target and weight.

    skorch then splits and shuffles the weights along with the targets. The criterion gives the
    loss of each sample.
    """

    def get_loss(self, y_pred, y_true, *args, **kwargs):  # numpydoc ignore=GL08
        y, weight = y_true.to(y_pred).unbind(1)
        return (weight * super().get_loss(y_pred, y, *args, **kwargs)).mean()


class ClassifierNet(WeightedNet):
    """Net whose targets are numbers of classes, in half precision if ``autocast``.

    Parameters
    ----------
    *args : object
        As for skorch's ``NeuralNet``.
    autocast : bool, default=False
        Whether to compute in bfloat16 on CUDA.
    **kwargs : object
        As for skorch's ``NeuralNet``.
    """

    def __init__(self, *args, autocast=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.autocast = autocast

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        with torch.autocast("cuda", torch.bfloat16, enabled=self.autocast):
            y = super().infer(x, **fit_params)
        return y.float() if self.autocast else y


class ClassLoss(torch.nn.CrossEntropyLoss):
    """Cross-entropy of classes whose numbers are floats."""

    def forward(self, scores, y):  # numpydoc ignore=GL08
        return super().forward(scores, y.long())


class Rows(Dataset):
    """Arrays, in memory or on disk, from which a batch is taken at once.

    Parameters
    ----------
    X : array, shape (n_samples, n_features)
        Features.
    y : array, shape (n_samples, 2)
        Targets and weights.
    """

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return torch.as_tensor(np.array(self.X[i])), torch.as_tensor(self.y[i])

    def __getitems__(self, rows):
        return torch.as_tensor(np.array(self.X[rows])), torch.as_tensor(self.y[rows])


def as_batch(batch):
    """Collate what `Rows` has collated already.

    Parameters
    ----------
    batch : tuple of Tensor
        Features and targets.

    Returns
    -------
    batch : tuple of Tensor
        The same.
    """
    return batch


def fixed_split(dataset, y, train, test):
    """Two parts of a data set, in the form that skorch asks for.

    Parameters
    ----------
    dataset : Dataset
        Whole.
    y : object
        Not used.
    train, test : ndarray of int
        Rows of the parts.

    Returns
    -------
    train, test : Subset
        Parts.
    """
    return Subset(dataset, train), Subset(dataset, test)


def class_split(labels, fraction, seed):
    """Split of skorch that sets a share of each class apart, where there is one of each.

    Parameters
    ----------
    labels : ndarray, shape (n_samples,)
        Classes.
    fraction : float
        Share that is set apart.
    seed : int
        Of the draw.

    Returns
    -------
    split : callable
        Data set -> its two parts.
    """
    n, counts = len(labels), np.unique(labels, return_counts=True)[1]
    n_test = ceil(n * fraction)
    enough = counts.min() > 1 and len(counts) <= min(n_test, n - n_test)
    train, test = train_test_split(
        np.arange(n), test_size=n_test, stratify=labels if enough else None, random_state=seed
    )
    return partial(fixed_split, train=train, test=test)


def _schedules(schedule, max_epochs):
    if schedule == "cosine":
        return [("rate", LRScheduler("CosineAnnealingLR", T_max=max_epochs))]
    if schedule == "steps":
        return [("rate", LRScheduler("StepLR", step_size=ceil(max_epochs / 3)))]
    return []


def _resume(net, last, early_stopping, patience, name):
    # state of the last epoch, if there is one; it may have been the last of all
    if not Path(last.f_history_).exists():
        return
    net.load_params(checkpoint=last)
    net.max_epochs -= len(net.history)
    if early_stopping:
        losses = net.history[:, "valid_loss"]
        if len(losses) - 1 - np.argmin(losses) >= patience:
            net.max_epochs = 0
    torch.manual_seed(torch.initial_seed() + len(net.history))
    if net.verbose:
        print(f"[{name}] goes on after {len(net.history)} epochs", flush=True)


def train_classifier(
    module,
    X,
    target,
    *,
    lr,
    weight_decay,
    schedule,
    label_smoothing,
    batch_size,
    max_epochs,
    early_stopping,
    validation_fraction,
    n_iter_no_change,
    seed,
    folder,
    device,
    autocast,
    verbose,
    name,
):
    """Train a network to classify, and keep its best weights.

    Parameters
    ----------
    module : Module
        Tensor (n, n_features) -> scores (n, n_classes).
    X : array, shape (n_samples, n_features)
        Features, in memory or on disk.
    target : ndarray, shape (n_samples, 2)
        Numbers of the classes, and weights.
    lr, weight_decay, schedule, label_smoothing, batch_size, max_epochs : object
        As in `skwave.ScatteringDictionaryClassifier`.
    early_stopping, validation_fraction, n_iter_no_change : object
        As there.
    seed : int
        Of the split.
    folder : Path or None
        Where to keep the state after each epoch, and to go on from.
    device : torch.device
        Where to compute.
    autocast : bool
        Whether to compute in bfloat16.
    verbose : int
        Print the progress if positive.
    name : str
        Name in the progress.

    Returns
    -------
    net : ClassifierNet
        Trained.
    """
    callbacks, last = _schedules(schedule, max_epochs), None
    if folder is not None:
        last = Checkpoint(monitor=None, dirname=folder, fn_prefix="last_", event_name=None)
        best = Checkpoint("valid_loss_best", dirname=folder, fn_prefix="best_", load_best=True)
        callbacks += [("last", last)] + [("best", best)] * early_stopping
    if early_stopping:
        stop = EarlyStopping(patience=n_iter_no_change, load_best=last is None, sink=noop)
        callbacks.append(("stop", stop))
    net = ClassifierNet(
        module,
        criterion=ClassLoss,
        criterion__reduction="none",
        criterion__label_smoothing=label_smoothing,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=weight_decay,
        lr=lr,
        batch_size=batch_size,
        max_epochs=max_epochs,
        dataset=Rows,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=as_batch,
        iterator_valid__collate_fn=as_batch,
        train_split=class_split(target[:, 0], validation_fraction, seed)
        if early_stopping
        else None,
        callbacks=callbacks,
        device=device,
        autocast=autocast,
        verbose=verbose,
    ).initialize()
    if last is not None:
        _resume(net, last, early_stopping, n_iter_no_change, name)
    net.partial_fit(X, target)
    net.train_split = None  # which holds the rows of the parts
    return net
