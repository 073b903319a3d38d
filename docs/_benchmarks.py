"""The page of benchmarks: each script's docstring, and the results that lie in the repository."""

import ast
import json
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1] / "benchmarks"


def inline(text):
    """Markdown within a line as reStructuredText: bold and code stay, the rest is plain."""
    parts = re.split(r"`([^`]*)`", text)
    for i, part in enumerate(parts):
        plain = re.sub(r"([\\|_`]|(?<!\*)\*(?!\*))", r"\\\1", part)
        parts[i] = f"``{part}``" if i % 2 else plain
    return "".join(parts)


def table(lines):
    """Rows ``| a | b |`` of Markdown as a list-table."""
    rows = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in lines]
    rows = [rows[0], *rows[2:]]
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        cells = [inline(cell.replace(r"\|", "|").strip()) for cell in row]
        out += [f"   {'-' if i else '* -'} {cell}".rstrip() for i, cell in enumerate(cells)]
    return [line if line[3:4] != "-" else "  " + line for line in out]


def convert(markdown):
    """Paragraphs and tables of Markdown as reStructuredText."""
    out = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        lines = block.splitlines()
        first = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
        if first:
            out += [inline(line) for line in lines[:first]] + [""]
        if first < len(lines):
            out += [*table(lines[first:]), ""]
    return out


def section(script, results, others, start):
    """Title, docstring, and results of each machine of one benchmark."""
    name = script.stem

    def own(path):
        stem = path.name.partition(".")[0]
        longer = [o for o in others if len(o) > len(name) and (stem + "_").startswith(o + "_")]
        return (stem + "_").startswith(name + "_") and not longer

    title = name.replace("_", " ").capitalize()
    title = re.sub(r"(?i)\bqm(\d)", r"QM\1", title).replace("Case", "CASE")
    doc = ast.get_docstring(ast.parse(script.read_text()))
    out = [f".. _benchmark-{name}:", "", title, "-" * len(title), "", doc, ""]
    found = [path for path in sorted(results.glob("*.md")) if own(path)]
    for path in found:
        record, text = json.loads(path.with_suffix(".json").read_text()), path.read_text()
        machine = f"{record['hardware']}; Python {record['python']}"
        body = text.strip().removeprefix(record["hardware"])
        out += [".. rubric:: " + inline(machine), "", *convert(body)]
    for path in filter(own, sorted(results.glob("*.png"))):
        where = os.path.relpath(path, start)
        out += [f".. figure:: {where}", f"   :alt: {path.stem.replace('_', ' ')}", ""]
    return out if found else [*out, "No results are kept in the repository yet.", ""]


def write(target, scripts=ROOT, results=ROOT / "results"):
    """Write the sections of all benchmarks into one file, if it would change."""
    paths = sorted(path for path in scripts.glob("[a-z]*.py"))
    names = [path.stem for path in paths]
    lines = [line for p in paths for line in section(p, results, names, target.parents[1])]
    text = "\n".join(lines) + "\n"
    if not target.exists() or target.read_text() != text:
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
