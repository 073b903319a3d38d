"""Workers by name, and a job on them that the same line finishes after an interruption."""

import argparse
import json
import os
import time
from importlib.util import find_spec
from pathlib import Path

import dask
import joblib
from distributed import Client, LocalCluster

from skwave.parallel._transform import transform_blocks

# what each kind of cluster needs
MODULES = {"local": "distributed", "slurm": "dask_jobqueue", "gpu": "dask_cuda"}

# glibc's own values: by Dask's, a worker asks the system for the memory of each array anew, and
# scattering takes about twice as long
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "33554432"}


def make_cluster(name, workers):
    """Start workers: processes of this machine, jobs of SLURM, or one for each GPU."""
    os.environ.update(MALLOC)
    # a worker that is started again imports torch, which may take longer than 15 s
    dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    if name == "local":
        return LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        )
    if name == "gpu":
        from dask_cuda import LocalCUDACluster

        # each has a CUDA_VISIBLE_DEVICES of its own
        return LocalCUDACluster(n_workers=workers, dashboard_address="127.0.0.1:0")
    if name == "slurm":
        from dask_jobqueue import SLURMCluster

        # jobs of up to 16 workers; queue="..." and account="..." if the site wants them
        per_job = min(workers, 16)
        cluster = SLURMCluster(
            cores=per_job,
            processes=per_job,
            memory=f"{4 * per_job}GB",
            walltime="02:00:00",
            job_script_prologue=[f"export {key}={value}" for key, value in MALLOC.items()],
        )
        cluster.scale(workers)
        return cluster
    raise ValueError(f"name={name!r} must be one of {list(MODULES)}.")


def run(est, X, arguments, what):
    """Transform ``X`` into the file ``--output``, or go on where an earlier call stopped."""
    output, n = arguments.output, len(X)
    part = output.with_suffix(".part.npy")  # renamed when it is complete
    if output.exists():
        print(f"{output} is complete. Move or delete it to compute it anew.")
        return
    row, kept = est.transform(X[:1]), min(n, rows_done(part))
    print(f"{n} {what}, {row.size} numbers each: {n * row.nbytes / 1e9:.2f} GB", flush=True)
    print(f"{kept} are done, {n - kept} are left", flush=True)
    with (
        make_cluster(arguments.cluster, arguments.workers) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        client.wait_for_workers(1)  # the others may join later
        begin = time.perf_counter()
        transform_blocks(est, X, part, verbose=1)
        seconds = time.perf_counter() - begin
    part.rename(output)
    rate = (n - kept) / seconds
    print(f"{output}: {n - kept} {what} in {seconds:.2f} s, {rate:.1f} {what}/s")


def rows_done(part):
    """Rows that an earlier call has finished, by the journal beside its output."""
    journal = Path(f"{part}.blocks")
    if not journal.exists():
        return 0
    head, *blocks = journal.read_text().splitlines()
    return len(blocks) * json.loads(head)["block_size"]


def make_parser(description):
    """Arguments of all jobs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cluster", type=available, choices=MODULES, default="local")
    parser.add_argument("--workers", type=positive, required=True, help="processes, or GPUs")
    parser.add_argument(
        "--output", type=new_file, default="features.npy", help="where all workers see it"
    )
    return parser


def available(name):
    """Name of a cluster whose package is installed."""
    module = MODULES.get(name)
    if module and find_spec(module) is None:
        package = module.replace("_", "-")
        raise argparse.ArgumentTypeError(f"{name} needs {package}: pip install {package}")
    return name


def positive(text):
    """Number of workers, images or molecules."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)


def new_file(text):
    """Path of a file that can be made."""
    path = Path(text)
    if path.suffix != ".npy" or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} must end with .npy, in a folder that exists")
    return path
