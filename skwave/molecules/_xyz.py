"""Reader of XYZ files: plain ones, extended ones, and those of QM9."""

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skwave.molecules._elements import atomic_number

_QM9 = "index A B C mu alpha homo lumo gap r2 zpve U0 U298 H298 G298 Cv"
QM9_PROPERTIES = tuple(re.findall(r"\w+", _QM9))
"""Properties in the second line of a file of QM9, after the word gdb."""

# key=value, where a value may stand in quotes or brackets, or stretches to the next space; what is
# not closed is given up where the next begins, so that the time is linear in the length
_BRACKETS = r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
_PAIR = re.compile(
    rf"""(?<![^\s=,"'])([^\s=,"']+)\s*=\s*("[^"]*"|'[^']*'|\{{[^{{}}]*\}}|{_BRACKETS}|[^\s]+)"""
)
_COLUMNS = re.compile(r"([^:\s]+):([SRIL]):(\d{1,9})")
_SPECIES = ("species", "Z", "numbers", "symbols")
_LOGICAL = {"T": True, "F": False, "True": True, "False": False}


class Frame(NamedTuple):
    """A molecule of a file, with the attributes of `ase.Atoms`."""

    numbers: np.ndarray
    """Atomic numbers, shape (n_atoms,)."""
    positions: np.ndarray
    """Coordinates in Å, shape (n_atoms, 3)."""
    cell: np.ndarray
    """Vectors of the cell in its rows, zeros if there is none, shape (3, 3)."""
    pbc: np.ndarray
    """Along which of them the molecule is repeated, bool of shape (3,)."""
    info: dict
    """Properties of the molecule."""
    arrays: dict
    """Properties of the atoms, of shape (n_atoms,) or (n_atoms, k)."""


def read_files(paths):
    """Molecules of files.

    Parameters
    ----------
    paths : str, Path or list of them
        One file, or several.

    Returns
    -------
    frames : list of Frame
        All molecules, file after file.
    names : list of str
        File and number of each in it, from 0.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    frames, names = [], []
    for path in paths:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig", errors="replace")
        found = list(read_frames(text, str(path)))
        frames += found
        names += [f"{path}, frame {k}" for k in range(len(found))]
    return frames, names


def read_frames(text, path):
    """Molecules of a text, one after the other.

    Parameters
    ----------
    text : str
        What stands in a file.
    path : str
        Its name, for messages.

    Yields
    ------
    frame : Frame
        A molecule.
    """
    lines = text.split("\n")
    start = k = 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        frame, start = _read_frame(lines, start, f"{path}, frame {k}")
        yield frame
        k += 1
    if k == 0:
        raise ValueError(f"{path} is empty: there are no molecules in it.")


def gather(frames):
    """Properties of molecules, by their names.

    Parameters
    ----------
    frames : list of Frame
        Molecules.

    Returns
    -------
    properties : Bunch
        Numbers, and arrays of one shape, of the molecules as an array whose first axis counts
        them, NaN where there is none; texts, and arrays of several shapes, as a list, None where
        there is none; so are the properties of atoms.
    """
    properties = Bunch()
    for name in dict.fromkeys(name for frame in frames for name in frame.info):
        properties[name] = _stack([frame.info.get(name) for frame in frames])
    for name in dict.fromkeys(name for frame in frames for name in frame.arrays):
        free = name if name not in properties else f"{name}_of_atoms"
        properties[free] = [frame.arrays.get(name) for frame in frames]
    return properties


def _stack(values):
    found = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in found) or len({np.shape(v) for v in found}) > 1:
        return values
    missing = np.full(np.shape(found[0]), np.nan)
    return np.array([missing if value is None else value for value in values])


def _read_frame(lines, start, where):
    n_atoms = _count(lines[start], where, start)
    end = start + 2 + n_atoms
    if end > len(lines):
        raise ValueError(
            f"{where} says {n_atoms} atoms in line {start + 1}, and {len(lines) - start - 1} lines "
            "follow: the file has been cut short, or the number is wrong."
        )
    comment = lines[start + 1]
    rows = [line.split() for line in lines[start + 2 : end]]
    pairs = dict(_PAIR.findall(comment))
    if "Properties" in pairs:
        return _extended(pairs, rows, where), end
    frame = _plain(rows, where)
    words = comment.split()
    if words[:1] == ["gdb"] and len(words) == 1 + len(QM9_PROPERTIES):
        return _qm9(frame, words[1:], lines, end, where)
    frame.info.update(_info(pairs) if pairs else {"comment": comment.strip()})
    return _periodic(frame, pairs, where), end


def _count(line, where, start):
    text = line.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        shown = text if len(text) < 40 else text[:40] + "…"
        raise ValueError(
            f"{where}: line {start + 1} is {shown!r}, where the number of atoms should be. An XYZ "
            "file has it first, then a line of comment, then a line for each atom."
        )
    return int(text)


def _plain(rows, where):
    width = min(map(len, rows))
    if width < 4:
        atom = [len(row) for row in rows].index(width)
        raise ValueError(
            f"{where}: atom {atom} has {width} columns, and needs a symbol and three coordinates."
        )
    numbers = _elements([row[0] for row in rows], where)
    positions = _finite(_floats([row[1:4] for row in rows], where), where)
    arrays = {}
    if width > 4:
        try:
            arrays["columns"] = _floats([row[4:width] for row in rows], where)
        except ValueError:  # text, which says nothing of atoms that has a name
            arrays = {}
    return Frame(numbers, positions, np.zeros((3, 3)), np.zeros(3, bool), {}, arrays)


def _qm9(frame, words, lines, end, where):
    values = _numbers(words, f"{where}, properties")
    frame.info.update(zip(QM9_PROPERTIES, values, strict=True))
    frame.info["index"] = int(values[0])
    if "columns" in frame.arrays:
        frame.arrays["charges"] = frame.arrays.pop("columns")[:, 0]
    # frequencies, SMILES and InChI, unless they have been taken out
    if end + 2 < len(lines) and lines[end + 2].startswith("InChI"):
        frame.info["frequencies"] = np.array(_numbers(lines[end].split(), f"{where}, frequencies"))
        frame.info["smiles"] = lines[end + 1].split()[0]
        end += 3
    return frame, end


def _extended(pairs, rows, where):
    spec = pairs["Properties"].strip("\"'")
    columns = _COLUMNS.findall(spec)
    if ":".join(":".join(column) for column in columns) != spec:
        raise ValueError(
            f"{where}: Properties={spec} is no list of name:type:number, with a type of S, R, I or "
            "L, such as species:S:1:pos:R:3."
        )
    ends = list(accumulate(int(number) for *_, number in columns))
    for atom, row in enumerate(rows):
        if len(row) != ends[-1]:
            raise ValueError(
                f"{where}: atom {atom} has {len(row)} columns, and Properties={spec} has "
                f"{ends[-1]}."
            )
    arrays = {}
    for (name, kind, number), end in zip(columns, ends, strict=True):
        arrays[name] = _column(rows, kind, end - int(number), end, where)
    species = [arrays.pop(name) for name in _SPECIES if name in arrays]
    positions = arrays.pop("pos", None)
    if not species or np.shape(positions) != (len(rows), 3) or np.ndim(species[0]) != 1:
        raise ValueError(
            f"{where}: Properties={spec} needs species:S:1 or Z:I:1, and pos:R:3, the coordinates."
        )
    numbers = _elements(species[0], where)
    positions = _finite(positions, where)
    frame = Frame(numbers, positions, np.zeros((3, 3)), np.zeros(3, bool), _info(pairs), arrays)
    return _periodic(frame, pairs, where)


def _column(rows, kind, start, end, where):
    if kind == "S":
        values = [row[start:end] for row in rows]
    elif kind == "L":
        values = [[row[k] in ("T", "True", "1") for k in range(start, end)] for row in rows]
    else:
        values = _floats([row[start:end] for row in rows], where)
    values = np.array(values)
    if kind == "I":
        values = _integers(values, where)
    return values[:, 0] if end - start == 1 else values


def _integers(values, where):
    whole = (values == np.floor(values)).all(axis=1)
    if not whole.all():
        atom = int(whole.argmin())
        raise ValueError(f"{where}: atom {atom} has {values[atom]}, where integers should be.")
    return values.astype(np.int64)


def _periodic(frame, pairs, where):
    """The frame with its cell, which repeats along all vectors unless `pbc` says otherwise."""
    if "Lattice" not in pairs:
        return frame
    cell = _value(pairs["Lattice"])
    pbc = [_LOGICAL.get(word) for word in pairs.get("pbc", "T T T").strip("\"'").split()]
    if np.shape(cell) != (9,) or len(pbc) != 3 or None in pbc:
        raise ValueError(
            f"{where}: Lattice={pairs['Lattice']} and pbc={pairs.get('pbc')} must be 9 numbers, "
            'the vectors of the cell, and T or F for each, such as pbc="T T F".'
        )
    return frame._replace(cell=cell.reshape(3, 3).astype(float), pbc=np.array(pbc))


def _info(pairs):
    left = {k: v for k, v in pairs.items() if k not in ("Properties", "Lattice", "pbc")}
    return {name: _named(name, _value(text)) for name, text in left.items()}


def _named(name, value):
    tensor = name.lower().endswith(("stress", "virial", "virials")) and np.shape(value) == (9,)
    return value.reshape(3, 3) if tensor else value


def _value(text):
    """Number, truth, array or text that stands for a value."""
    text = text.rstrip(",").strip("\"'{}")
    if text in _LOGICAL:
        return _LOGICAL[text]
    if text.startswith(("_JSON", "[")):
        try:
            array = np.array(json.loads(text.removeprefix("_JSON")))
        except (ValueError, RecursionError):
            return text
        return array if array.dtype.kind in "biuf" else text
    words = text.split()
    if "_" in text:  # which float and int leave out
        return text
    try:
        values = [int(w) if w.lstrip("+-").isdigit() else float(w) for w in words]
    except ValueError:
        return text
    return values[0] if len(values) == 1 else np.array(values) if values else text


def _elements(labels, where):
    known, numbers = {}, np.empty(len(labels), np.int64)
    for atom, label in enumerate(labels):
        try:
            if label not in known:
                known[label] = atomic_number(str(label))
        except ValueError as error:
            raise ValueError(f"{where}: atom {atom}: {error}") from error
        numbers[atom] = known[label]
    return numbers


def _finite(values, where):
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        atom = int(finite.argmin())
        raise ValueError(
            f"{where}: atom {atom} has the coordinates {values[atom]}, which are not finite."
        )
    return values


def _floats(rows, where):
    try:
        return np.array([[float(word) for word in row] for row in rows])
    except ValueError:
        return np.array([_numbers(row, f"{where}: atom {k}") for k, row in enumerate(rows)])


def _numbers(words, where):
    # Mathematica writes 1e-6 as 1.*^-6, Fortran as 1.D-6
    words = [word.replace("*^", "e").replace("D", "e").replace("d", "e") for word in words]
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"{where}: {error}.") from error
