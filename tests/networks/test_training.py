"""Training of networks."""

import errno
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skwave._networks.layers import Dropout
from skwave._networks.training import AutocastNet, LabelLoss, train

ROWS = np.arange(40), np.arange(40, 60)


class Model(nn.Sequential):
    """Network that draws numbers in training, and has a state besides its weights."""

    def __init__(self):
        super().__init__(
            nn.Linear(4, 8), nn.BatchNorm1d(8), Dropout(0.3), nn.Linear(8, 1), nn.Flatten(0)
        )


@pytest.fixture(scope="module")
def data():
    """A function of four variables, and noise."""
    X, noise = np.random.default_rng(0).normal(size=(2, 60, 4)).astype(np.float32)
    return X, X[:, 0] * X[:, 1] + noise[:, 0]


@pytest.fixture
def fit(data):
    """Train with few samples; any parameter may be told."""

    def call(make=Model, **parameters):
        settings = {
            "rows": ROWS, "seed": 3, "device": torch.device("cpu"), "name": "Model",
            "learning_rate_init": 0.02, "weight_decay": 0.01, "schedule": "cosine",
            "batch_size": 16, "max_iter": 6, "n_iter_no_change": 6, "verbose": 0,
        }  # fmt: skip
        return train(AutocastNet, make, *data, criterion=nn.MSELoss, **{**settings, **parameters})

    return call


@pytest.fixture
def nets(monkeypatch):
    """All nets of skorch that are trained, with their histories."""
    kept, partial_fit = [], AutocastNet.partial_fit

    def keeping(self, *arguments):
        kept.append(self)
        return partial_fit(self, *arguments)

    monkeypatch.setattr(AutocastNet, "partial_fit", keeping)
    return kept


@pytest.fixture
def stop(monkeypatch):
    """Raise an error, or give NaN, at a call of the model: 3 in training, then 2, an epoch."""

    def at(n, error=None):
        forward, count = Model.forward, []

        def broken(self, x):
            count.append(None)
            if len(count) == n and error is not None:
                raise error
            return forward(self, x) * (float("nan") if len(count) == n else 1)

        monkeypatch.setattr(Model, "forward", broken)

    yield at
    monkeypatch.undo()


def linear():
    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))


def weights(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def loss(network, data, rows):
    X, y = (torch.from_numpy(a[rows]) for a in data)
    with torch.no_grad():
        return (network(X) - y).square().mean().item()


@pytest.mark.parametrize("schedule", ["cosine", "steps", None])
@pytest.mark.parametrize("rows", [ROWS, None])
def test_resumed_training_is_the_same(fit, nets, stop, tmp_path, capsys, rows, schedule):
    parameters = {"rows": rows, "schedule": schedule}
    whole, *curves = fit(**parameters)
    per_epoch, forward = 5 if rows else 4, Model.forward
    for calls in (per_epoch + 2, per_epoch * 2 + 1):  # in the second epoch, then in the fourth
        stop(calls, RuntimeError("power cut"))
        with pytest.raises(RuntimeError, match="power"):
            fit(**parameters, folder=tmp_path / "state")
        Model.forward = forward
    assert capsys.readouterr().out == ""
    network, *resumed = fit(**parameters, folder=tmp_path / "state", verbose=1)
    assert "[Model] goes on after 3 epochs" in capsys.readouterr().out
    assert resumed == curves and torch.equal(weights(network), weights(whole))
    rates = [[epoch["event_lr"] for epoch in n.history] for n in (nets[0], nets[-1])]
    assert np.allclose(*rates, rtol=1e-12)
    again, *curves = fit(**parameters, folder=tmp_path / "state")
    assert resumed == curves and torch.equal(weights(again), weights(network))


def test_file_that_is_cut_off_does_no_harm(fit, monkeypatch, tmp_path):
    whole, *curves = fit()
    write, count = Path.write_bytes, []

    def cut(path, content):
        count.append(None)
        if len(count) == 3:
            write(path, b"half a state")
            raise SystemExit("killed")
        write(path, content)

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(SystemExit):
        fit(folder=tmp_path)
    monkeypatch.undo()
    net, *resumed = fit(folder=tmp_path)
    assert resumed == curves and torch.equal(weights(net), weights(whole))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", 0.01 * (1 + np.cos(np.pi * np.arange(6) / 6))),
        ("steps", [0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002]),
        (None, [0.02] * 6),
    ],
)
def test_schedule(fit, nets, schedule, expected):
    fit(schedule=schedule)
    assert np.allclose([epoch["event_lr"] for epoch in nets[0].history], expected)


def test_order_is_drawn_for_each_epoch(fit, nets):
    *_, losses = fit(linear, learning_rate_init=1e-9)
    assert len(set(nets[0].history[:, "batches", 0, "train_loss"])) == 6
    assert len(set(np.round(losses, 5))) == 1


def test_weight_decay(fit):
    net, decayed = (
        fit(linear, learning_rate_init=0.1, weight_decay=decay)[0] for decay in (0.0, 5.0)
    )
    assert weights(decayed).norm() < 0.5 * weights(net).norm()


def test_best_weights_are_kept(fit, data):
    net, curve, validation = fit(
        learning_rate_init=0.3, schedule=None, max_iter=20, n_iter_no_change=20
    )
    assert len(curve) == len(validation) == 20 and validation[-1] > min(validation)
    assert loss(net, data, ROWS[1]) == pytest.approx(min(validation), rel=1e-5)
    # unless the first weights were better
    net, *_ = fit(learning_rate_init=0.3, floor=0.9 * min(validation))
    torch.manual_seed(3)
    assert torch.equal(net[0].weight, Model()[0].weight) and not net.training
    net, curve, validation = fit(rows=None)
    assert validation is None and len(curve) == 6


def test_patience_and_tolerance(fit, tmp_path):
    for _ in "ab":  # the second has nothing left to do
        *_, losses = fit(
            learning_rate_init=0.3, schedule=None, max_iter=40, n_iter_no_change=3, folder=tmp_path
        )
        assert len(losses) == np.argmin(losses) + 4 < 40
    slow = {
        "make": linear, "learning_rate_init": 1e-3, "schedule": None, "max_iter": 20,
        "n_iter_no_change": 3,
    }  # fmt: skip
    *_, losses = fit(**slow)
    assert len(losses) == 20 and 0.7 * losses[0] < losses[-1] < losses[-2] < 0.99 * losses[0]
    *_, losses = fit(**slow, tol=0.3)
    assert len(losses) == 4


@pytest.mark.parametrize("rows", [ROWS, None])
@pytest.mark.parametrize(("epochs", "call"), [(0, 2), (2, 1), (2, 4)])
def test_loss_that_is_not_finite(fit, stop, rows, epochs, call):
    stop(epochs * (5 if rows else 4) + call)  # the fourth may be one of the validation
    with pytest.warns(ConvergenceWarning, match=f"epoch {epochs + 1} had a loss of nan"):
        net, curve, validation = fit(rows=rows, schedule=None)
    assert len(curve) == epochs and weights(net).isfinite().all()
    assert validation is None if rows is None else len(validation) == epochs
    before, *curves = fit(rows=rows, schedule=None, max_iter=epochs)
    assert curves == [curve, validation] and torch.equal(weights(before), weights(net))


def test_interruption(fit, stop):
    stop(13, KeyboardInterrupt)
    _, curve, validation = fit()
    assert len(curve) == len(validation) == 2
    _, *curves = fit()
    assert [c[:2] for c in curves] == [curve, validation]


@pytest.mark.filterwarnings("ignore:You are using `torch.load`")  # torch before 2.6
def test_randomness_and_pickle(fit, data):
    state = torch.get_rng_state()
    (a, *curves), (b, *same), (_, *others) = fit(), fit(), fit(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert curves == same and torch.equal(weights(a), weights(b)) and curves != others
    assert torch.equal(weights(pickle.loads(pickle.dumps(a))), weights(a))


def test_threads_do_not_disturb_each_other(fit):
    """Weights, order, dropout: the same in four threads at once as in one, while others draw."""
    whole, *curves = fit(max_iter=20)
    with ThreadPoolExecutor(5) as pool:
        others = pool.submit(lambda: [torch.randn(100).sum() for _ in range(2000)])
        jobs = [pool.submit(fit, max_iter=20) for _ in range(8)]
        for job in jobs:
            network, *same = job.result()
            assert same == curves and torch.equal(weights(network), weights(whole))
        others.result()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="autocast is for CUDA")
def test_half_precision(fit, nets):
    device = torch.device("cuda:0")
    (_, *whole), (_, *half) = (fit(device=device, autocast=a) for a in (False, True))
    assert whole != half and np.allclose(whole, half, rtol=0.05)
    assert nets[-1].infer(torch.zeros(2, 4)).dtype == torch.float32


def test_loss_of_several_labels():
    """Mean over labels of the binary cross-entropy, of smoothed targets."""
    scores, y = torch.randn(4, 3), torch.tensor([[0.0, 1, 1]]).expand(4, 3)
    loss = LabelLoss(reduction="none", label_smoothing=0.2)(scores, y)
    t = 0.8 * y + 0.1
    p = scores.sigmoid()
    expected = -(t * p.log() + (1 - t) * (1 - p).log()).mean(1)
    torch.testing.assert_close(loss, expected)


HOSTILE = {
    "empty": b"",
    "text": b"my weights",
    "cut off": None,
    "zeros": bytes(1000),
    "a pickle that would run": b"cos\nsystem\n(S'touch was_run'\ntR.",
    "deep": b"(" * 100_000 + b".",
    "a list": [1, 2],
    "no weights": {"weights": None},
    "other weights": {"weights": {"a": torch.zeros(2)}},
    "no history": {"history": "[["},
    "nested history": {"history": "[" * 100_000},
    "numbers for history": {"history": "[1, 2]"},
    "text for losses": {"history": '[{"train_loss": "low"}]'},
    "numbers for weights": {"best": 3},
    "no optimizer": {"optimizer": {"state": {}, "param_groups": []}},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_c_a_damaged_checkpoint(fit, tmp_path, monkeypatch, kind):
    """The file is named, and what to do; nothing in it is run."""
    monkeypatch.chdir(tmp_path)
    fit(max_iter=2, folder=tmp_path)
    path, content = tmp_path / "state.pt", HOSTILE[kind]
    if isinstance(content, dict):
        state = torch.load(path, weights_only=True) | content
        torch.save({name: value for name, value in state.items() if value is not None}, path)
    elif isinstance(content, list):
        torch.save(content, path)
    else:
        path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ValueError, match=r"state\.pt' does not hold .*delete it to train anew"):
        fit(folder=tmp_path)
    assert not (tmp_path / "was_run").exists()
    path.unlink()
    fit(max_iter=1, folder=tmp_path)


def test_b7_a_full_disk(fit, tmp_path, monkeypatch):
    """Training goes on in memory, tries again, and leaves no half of a file."""
    whole = fit()
    write, calls = Path.write_bytes, []

    def full(path, content):
        calls.append(path)
        if len(calls) in (2, 3, 5):
            write(path, bytes(content)[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning) as caught:
        found = fit(folder=tmp_path)
    said = [str(w.message) for w in caught]
    assert [text.split(" was")[0][-1] for text in said] == ["2", "5"]
    assert all("No space left" in text and "goes on in memory" in text for text in said)
    assert len(calls) == 6 and [p.name for p in tmp_path.iterdir()] == ["state.pt"]
    assert found[1:] == whole[1:]
    assert fit(folder=tmp_path)[1:] == whole[1:]  # the last state is there
    path = tmp_path / "a file"
    path.touch()
    with pytest.warns(RuntimeWarning, match="a file"):
        assert fit(folder=path)[1:] == whole[1:]
