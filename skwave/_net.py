"""What nets for weighted samples and for classes have of their own."""

from torch.nn import CrossEntropyLoss

from skwave._training import AutocastNet


class WeightedNet(AutocastNet):
    """Net whose ``y`` has the columns target and weight.

    So weights are split and shuffled along with the targets. The criterion gives the loss of each
    sample.
    """

    def get_loss(self, y_pred, y_true, *args, **kwargs):  # numpydoc ignore=GL08
        y, weight = y_true.to(y_pred).unbind(1)
        return (weight * super().get_loss(y_pred, y, *args, **kwargs)).mean()


class ClassLoss(CrossEntropyLoss):
    """Cross-entropy of classes whose numbers are floats."""

    def forward(self, scores, y):  # numpydoc ignore=GL08
        return super().forward(scores, y.long())
