"""What the record of finished trainings costs, by how many there are in it, and what it costs to hand a training out.

    python bench/record.py --study record.db --trials 10 1000 10000
    python bench/record.py --study postgresql://me@database/empty --trials 10 1000 10000
    python bench/record.py --engines

Of a study with so many trainings of the task mnist1d in it: the first look, which reads all of them; a later one, as
between two rounds of a search; to lease a training, and to record one (the least of ten): all in processor time of this
process, without what it waits for the disk or the server; and the most memory that it had. The study is filled by plain
SQL, in a database that must not be there, or be empty.

Of the engines, loky and a dask worker on this machine: a training that takes next to no time, by the clock, the best of
three times forty; with the data of digits, which dask sends each time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from peak import peak_memory
from sqlalchemy import Connection, insert

from leaky import Activation
from leaky.trials import Engine, Epoch, Study, Trial, load_task, run_trial

ARM, MARK, NAME = Activation("leaky_relu", (0.1,)), "0123456789abcdef", "mnist1d"
TIMES, ENGINE_RUNS = 10, 40


def timed(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Return how many seconds a call takes, of this process."""
    start = clock()
    work()
    return clock() - start


def fill(study: Study, template: Trial, first: int, last: int) -> None:
    """Add finished trainings with the seeds from first to last, and their leases, as they are when all was done."""
    with study.leasing():
        storage = study._storage
    assert isinstance(storage, RDBStorage)
    results, leases = (storage.get_study_id_from_name(name) for name in (NAME, f"{NAME}: in work"))
    with storage.engine.begin() as connection:
        for seed in range(first, last):
            trial = replace(template, seed=seed)
            whole = {"activation": str(ARM), "seed": seed, "fingerprint": MARK, "trial": trial.to_dict()}
            lease = {"key": [str(ARM), seed, MARK], "token": f"{seed:032x}", "worker": {"place": "elsewhere"}}
            add(connection, {"study_id": results, "number": seed}, whole, trial.epochs)
            add(connection, {"study_id": leases, "number": seed}, lease, ())


def add(connection: Connection, row: dict[str, int], attributes: dict[str, object], epochs: tuple[Epoch, ...]) -> None:
    """Add one row of a study."""
    inserted = insert(models.TrialModel).returning(models.TrialModel.trial_id)
    own = {"trial_id": connection.execute(inserted, {**row, "state": TrialState.COMPLETE}).scalar_one()}
    texts = [{**own, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
    connection.execute(insert(models.TrialUserAttributeModel), texts)
    connection.execute(insert(models.TrialValueModel), {**own, "objective": 0, "value": 0.5, "value_type": "FINITE"})
    if epochs:
        scores = [{"step": n, "intermediate_value": epoch.test_score} for n, epoch in enumerate(epochs)]
        rows = [{**own, **score, "intermediate_value_type": "FINITE"} for score in scores]
        connection.execute(insert(models.TrialIntermediateValueModel), rows)


def record(place: str | Path, counts: list[int]) -> None:
    """Print what a study costs, a line for each number of trainings in it."""
    template = run_trial(load_task("mnist1d"), ARM, 0)
    size = len(json.dumps(template.to_dict()))
    print(
        f"a training of {NAME} is {size / 1000:.1f} kB\ntrainings first look, s later, s lease, ms record, ms memory, MB"
    )
    before = 0
    for count in counts:
        fill(Study(place, NAME, {str(ARM): MARK}), template, before, count)
        opened = Study(place, NAME, {str(ARM): MARK})
        first, later = (timed(opened.finished) for _ in range(2))
        leased, recorded = [], []
        with opened.leasing() as lease:
            for seed in range(count, count + TIMES):
                leased.append(timed(partial(lease, str(ARM), seed)))
                recorded.append(timed(partial(opened.add, replace(template, seed=seed))))
        before = count + TIMES
        print(
            f"{count:9,} {first:13.2f} {later:8.3f} {1000 * min(leased):9.1f} {1000 * min(recorded):10.1f}"
            f" {peak_memory() / 1024:10,.0f}",
            flush=True,
        )


def engines() -> None:
    """Print what it costs to hand a training out."""
    from distributed import LocalCluster

    task = replace(load_task("digits-shallow"), epochs=1)
    pairs = [[(ARM, seed)] for seed in range(ENGINE_RUNS)]

    def run(where: str, jobs: int) -> float:
        with Engine(task, jobs, where) as engine:
            list(engine.run(pairs[:2]))  # processes are started, and have loaded what they need
            return min(timed(lambda: list(engine.run(pairs)), time.perf_counter) for _ in range(3)) / ENGINE_RUNS

    alone = run("loky", 1)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        away = {"loky": run("loky", 2), "dask": run(cluster.scheduler_address.replace("tcp", "dask"), 1)}
    print(f"a training here: {1000 * alone:.0f} ms; by loky, two at a time: {1000 * away['loky']:.0f} ms")
    print(f"by one dask worker: {1000 * away['dask']:.0f} ms, so {1000 * (away['dask'] - alone):.0f} ms to hand it out")


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--study", default="record.db")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--engines", action="store_true")
    options = parser.parse_args()
    if options.engines:
        engines()
    else:
        record(options.study if "://" in options.study else Path(options.study), options.trials)


if __name__ == "__main__":
    main()
