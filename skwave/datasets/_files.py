"""Files of data sets: search, check of their contents, download."""

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np


class File(NamedTuple):
    """File known by the hash of its contents, and the address of the original."""

    name: str
    sha256: str
    url: str | None = None


def packaged(name):
    """Arrays of a file in the package.

    Parameters
    ----------
    name : str
        An ``.npz`` file.

    Returns
    -------
    arrays : dict
        All of its arrays.
    """
    with (files("skwave.datasets") / "data" / name).open("rb") as f:
        return dict(np.load(f, allow_pickle=False))


def folders(data_home):
    """Folders that are searched for files, in this order.

    Parameters
    ----------
    data_home : str, Path or None
        The parameter of the loader.

    Returns
    -------
    paths : list of Path
        That of the environment variable ``SKWAVE_DATA``, if it is set, and ``data_home``.
    """
    given = os.environ.get("SKWAVE_DATA")
    home = Path("~/skwave_data" if data_home is None else data_home)
    return [Path(p).expanduser() for p in ([given] if given else [])] + [home.expanduser()]


def find(file, data_home):
    """Path of a file in the folders, after a check of its contents.

    Parameters
    ----------
    file : File
        What is looked for.
    data_home : str, Path or None
        The parameter of the loader.

    Returns
    -------
    path : Path or None
        The first one, None if there is none.

    Raises
    ------
    OSError
        If its contents are not those of the file.
    """
    for folder in folders(data_home):
        path = folder / file.name
        if path.is_file():
            with path.open("rb") as f:
                found = hashlib.file_digest(f, "sha256").hexdigest()
            if found != file.sha256:
                raise OSError(
                    f"{path} has been altered or cut short: its sha256 is {found}, for "
                    f"{file.sha256}. It is left as it is; move it away and put the right one there."
                )
            return path
    return None


def load_npz(file, data_home):
    """Arrays of an ``.npz`` file, if it is in the folders.

    Parameters
    ----------
    file : File
        An ``.npz`` file.
    data_home : str, Path or None
        The parameter of the loader.

    Returns
    -------
    arrays : dict or None
        None if there is no such file.
    """
    path = find(file, data_home)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def provided(file, data_home, origin):
    """Path of a file that is not downloaded.

    Parameters
    ----------
    file : File
        What is looked for.
    data_home : str, Path or None
        The parameter of the loader.
    origin : str
        A sentence that says where it comes from.

    Returns
    -------
    path : Path
        A file with the right contents.

    Raises
    ------
    OSError
        If there is none. The message tells where it is to be put.
    """
    path = find(file, data_home)
    if path is None:
        looked = " and ".join(str(f) for f in folders(data_home))
        raise OSError(
            f"{file.name} is not in {looked}, and this set is not downloaded. {origin} Either save "
            f"it as {folders(data_home)[-1] / file.name}, or set the environment variable "
            f"SKWAVE_DATA to a folder that holds {file.name}."
        )
    return path


def original(file, data_home, download_if_missing):
    """Path of an original file, downloaded if it is not in the folders.

    Parameters
    ----------
    file : File
        A file with an address.
    data_home : str, Path or None
        The parameter of the loader.
    download_if_missing : bool
        Whether to look in the network.

    Returns
    -------
    path : Path
        A file with the right contents.

    Raises
    ------
    OSError
        If there is none. The message tells where it is to be put.
    """
    path = find(file, data_home)
    if path is not None:
        return path
    folder = folders(data_home)[-1]
    reason = "download_if_missing=False"
    if download_if_missing:
        try:
            import pooch

            return Path(pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder))
        except ImportError:
            reason = "downloading needs pooch, pip install 'skwave[data]'"
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
    looked = " and ".join(str(f) for f in folders(data_home))
    raise OSError(
        f"{file.name} is not in {looked}, and was not downloaded ({reason}). Either save "
        f"{file.url} as {folder / file.name}, or set the environment variable SKWAVE_DATA to a "
        f"folder that holds {file.name}."
    )
