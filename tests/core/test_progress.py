"""Lines of progress."""

import re

import torch

from skwave._core.progress import progress_lines, report_batches, step_reporter


def test_a_line_names_who_reports_and_the_time(capsys):
    progress_lines("Name")("pass 1/3")
    assert re.fullmatch(r"\[Name\] pass 1/3, \d+\.\d s\n", capsys.readouterr().out)


def test_batches_pass_through_and_are_counted(capsys):
    results = [(range(2), [1, 2]), (range(2, 3), [3])]
    assert list(report_batches(results, 3, "Name")) == results
    counts = [line.split(" samples")[0] for line in capsys.readouterr().out.splitlines()]
    assert counts == ["[Name] 2/3", "[Name] 3/3"]


def test_every_tenth_step_and_the_last_are_reported(capsys):
    on_step = step_reporter("Name", 12)
    for n in range(1, 13):
        assert not on_step(n, None, torch.tensor([4.0, 16.0]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["[Name] step 10/12", "[Name] step 12/12"]
    assert "3.00e+00 on average, at most 4.00e+00" in lines[0]
