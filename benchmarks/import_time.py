"""Time of ``import skwave``, beside that of torch and scikit-learn alone.

``make bench NAME=import_time``. Fresh processes in turn; seconds of the processor, so that what the
disk holds ready does not count.
"""

import statistics
import subprocess
import sys

from _bench import save

CODE = "import time; {}; print(time.process_time())"
LINES = ("import torch, sklearn", "import skwave")


def main():
    """Nine processes of each."""

    def seconds(line):
        run = [sys.executable, "-c", CODE.format(line)]
        return float(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    pairs = [[seconds(line) for line in LINES] for _ in range(9)]
    times = [statistics.median(column) for column in zip(*pairs, strict=True)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    rows = [{"code": c, "cpu_s": t} for c, t in zip(LINES, times, strict=True)]
    lines = ["| code | CPU s |", "|---|---|"]
    lines += [f"| `{row['code']}` | {row['cpu_s']:.2f} |" for row in rows]
    save("import_time", [*rows, {"ratio": ratio}], "\n".join([*lines, "", f"Ratio {ratio:.2f}."]))


if __name__ == "__main__":
    main()
