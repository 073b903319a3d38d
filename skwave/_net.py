"""A net of skorch whose samples have weights; apart, since skorch takes seconds to import."""

from skorch import NeuralNet


class WeightedNet(NeuralNet):
    """Net for ``fit(X, y)`` where ``y`` has the columns target and weight.

    skorch then splits and shuffles the weights along with the targets. The criterion gives the
    loss of each sample.
    """

    def get_loss(self, y_pred, y_true, *args, **kwargs):  # numpydoc ignore=GL08
        y, weight = y_true.to(y_pred).unbind(1)
        return (weight * super().get_loss(y_pred, y, *args, **kwargs)).mean()
