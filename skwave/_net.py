"""What our nets of skorch share; apart, since skorch takes seconds to import."""

import numpy as np
import torch
from skorch import NeuralNet
from torch.utils.data import Dataset


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
    subset = torch.utils.data.Subset
    return subset(dataset, train), subset(dataset, test)
