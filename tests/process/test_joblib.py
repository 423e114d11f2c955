"""joblib on actors: what `Parallel` and scikit-learn promise, and a worker's death."""

from __future__ import annotations

import gc
import os
import signal
from multiprocessing import context as mp_context

import pytest

from procactors.errors import ActorDied, EncodeError
from tests.support.programs import running
from tests.support.waiting import eventually

joblib = pytest.importorskip("joblib", reason="joblib is missing: pip install 'procactors[joblib]'")

from joblib import Parallel, delayed, parallel_backend, parallel_config  # noqa: E402

import procactors.joblib as backend  # noqa: E402 - it needs joblib
from tests.process.test_futures import workers  # noqa: E402


@pytest.fixture(autouse=True)
def registered():
    backend.register()


def square(x):
    return x * x


def fail_at(number, bad):
    if number == bad:
        raise KeyError(number)
    return number


def die_at(number, bad):
    if number == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(number, marker):
    if number == 13 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def pid(_=None):
    return os.getpid()


def threads_allowed():
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENBLAS_NUM_THREADS")


def inner(count):
    """A `Parallel` inside a worker: who ran it?"""
    parallel = Parallel(n_jobs=2)
    pids = set(parallel(delayed(pid)() for _ in range(count)))
    return type(parallel._backend).__name__, pids == {os.getpid()}


def total(array):
    array += 1  # what arrives may be changed
    return float(array.sum())


@pytest.mark.parametrize("config", [parallel_config, parallel_backend])
def test_calls_run_on_actors(config):
    with config("procactors", n_jobs=2):
        assert Parallel()(delayed(square)(x) for x in range(200)) == [x * x for x in range(200)]
        pids = set(Parallel()(delayed(pid)() for _ in range(50)))
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_lambdas_travel():
    step = 3
    with parallel_config("procactors", n_jobs=2):
        assert Parallel()(delayed(lambda x: x + step)(x) for x in range(5)) == [3, 4, 5, 6, 7]


def test_all_cpus_are_used_if_nothing_is_said():
    with parallel_config("procactors"):
        assert joblib.effective_n_jobs(-1) == backend.usable_cpus()
        assert Parallel().n_jobs == -1
        assert joblib.effective_n_jobs(-1000) == 1
    assert Parallel(n_jobs=3, backend="procactors")._effective_n_jobs() == 3


def test_one_job_is_done_here():
    with parallel_config("procactors", n_jobs=1):
        assert Parallel()(delayed(pid)() for _ in range(3)) == [os.getpid()] * 3


@pytest.mark.parametrize("order", ["generator", "generator_unordered"])
def test_results_come_as_a_generator(order):
    if order == "generator_unordered" and joblib.__version__ < "1.4":
        pytest.skip("joblib 1.3 has no such order")
    with parallel_config("procactors", n_jobs=2):
        results = Parallel(return_as=order)(delayed(square)(x) for x in range(500))
        assert sorted(results) == [x * x for x in range(500)]
        # One that is left in the middle harms nobody.
        results = Parallel(return_as=order, batch_size=1)(delayed(square)(x) for x in range(500))
        assert next(results) in {x * x for x in range(500)}
        with pytest.warns(UserWarning, match="tasks"):
            results.close()
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]


def test_an_exception_is_raised_as_itself():
    with parallel_config("procactors", n_jobs=2):
        with pytest.raises(KeyError):
            Parallel()(delayed(fail_at)(x, 13) for x in range(50))
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]


def test_what_cannot_be_pickled_is_an_error_and_no_hang():
    import threading

    with parallel_config("procactors", n_jobs=2):
        with pytest.raises(EncodeError):
            Parallel(batch_size=1)(
                delayed(id)(threading.Lock() if x == 13 else x) for x in range(50)
            )
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]


def test_a_killed_worker_is_an_error_that_names_the_cause():
    """And the backend goes on."""
    with parallel_config("procactors", n_jobs=2):
        with pytest.raises(ActorDied, match="SIGKILL") as caught:
            Parallel()(delayed(die_at)(x, 13) for x in range(50))
        assert caught.value.report.reason.code == signal.SIGKILL
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]


def test_retries_hide_a_killed_worker(tmp_path):
    with parallel_config("procactors", n_jobs=2, retries=1):
        done = Parallel()(delayed(die_once)(x, tmp_path / "marker") for x in range(50))
    assert done == list(range(50))
    assert (tmp_path / "marker").exists()


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(TypeError, match="retries"), parallel_config("procactors", retrys=1):
        pass


def test_a_timeout_ends_the_wait(gate):
    with parallel_config("procactors", n_jobs=2), pytest.raises(mp_context.TimeoutError):
        Parallel(timeout=0.5)(delayed(gate.wait)() for _ in range(2))


def test_the_workers_are_kept_as_long_as_the_block_lasts():
    """Not a garbage collection is needed for their end."""
    gc.collect()
    gc.disable()
    try:
        with parallel_config("procactors", n_jobs=2):
            first = set(Parallel(batch_size=1)(delayed(pid)() for _ in range(100)))
            second = set(Parallel(batch_size=1)(delayed(pid)() for _ in range(100)))
            assert len(first | second) <= 2
            assert workers()
            with pytest.raises(KeyError):
                Parallel()(delayed(fail_at)(x, 13) for x in range(50))
            Parallel()(delayed(square)(x) for x in range(50))
        eventually(lambda: not workers(), "the end of the workers")
    finally:
        gc.enable()


def test_without_a_block_they_end_with_their_parallel():
    assert Parallel(n_jobs=2, backend="procactors")(delayed(square)(x) for x in [3]) == [9]
    eventually(lambda: not workers(), "the end of the workers")


def test_a_parallel_that_is_a_block_keeps_them_too():
    with Parallel(n_jobs=2, backend="procactors", batch_size=1) as parallel:
        first = set(parallel(delayed(pid)() for _ in range(20)))
        with pytest.raises(ActorDied):
            parallel(delayed(die_at)(x, 3) for x in range(20))
        # joblib itself may begin with what it had sliced off for the call that failed.
        assert parallel(delayed(square)(x) for x in range(3))[-3:] == [0, 1, 4]
    assert first


def test_a_parallel_inside_a_worker_starts_no_more_processes():
    with parallel_config("procactors", n_jobs=2):
        found = Parallel()(delayed(inner)(5) for _ in range(4))
    assert found == [("ThreadingBackend", True)] * 4


@pytest.mark.parametrize(("words", "threads"), [({}, "1"), ({"inner_max_num_threads": 3}, "3")])
def test_libraries_have_one_thread_if_nothing_else_is_said(words, threads, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with parallel_config("procactors", n_jobs=2, **words):
        assert Parallel()(delayed(threads_allowed)() for _ in range(2)) == [(threads, threads)] * 2


def test_large_arrays_arrive_and_may_be_changed():
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(1_000_000)
    with parallel_config("procactors", n_jobs=2):
        assert Parallel()(delayed(total)(array) for _ in range(6)) == [1_000_000.0] * 6
    assert array.sum() == 0


def test_a_backend_that_is_the_default_needs_no_name():
    code = """
import os, joblib, procactors.joblib
from joblib import Parallel, delayed
procactors.joblib.register(make_default=True)
pids = set(Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(9)))
print(os.getpid() not in pids, type(Parallel(n_jobs=2)._backend).__name__)
"""
    with running(code) as program:
        assert program.end() == (0, "True ProcActorsBackend\n", "")


def test_without_joblib_the_import_names_the_extra():
    code = "import sys; sys.modules['joblib'] = None; import procactors.joblib"
    with running(code) as program:
        exit_code, _, errors = program.end()
    assert exit_code == 1
    assert "pip install 'procactors[joblib]'" in errors


class TestScikitLearn:
    """What it computes with many workers is what it computes with one."""

    @pytest.fixture(autouse=True)
    def needed(self):
        pytest.importorskip("sklearn", reason="scikit-learn is missing")

    def data(self):
        from sklearn.datasets import make_classification

        return make_classification(n_samples=200, n_features=8, random_state=0)

    def test_cross_validation(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score

        samples, labels = self.data()
        alone = cross_val_score(LogisticRegression(), samples, labels, cv=4)
        with parallel_config("procactors"):
            shared = cross_val_score(LogisticRegression(), samples, labels, cv=4, n_jobs=-1)
        assert shared.tolist() == alone.tolist()

    def test_a_grid_search(self):
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import GridSearchCV

        samples, labels = self.data()
        grid = {"n_estimators": [5, 10], "max_depth": [2, 4]}

        def search(n_jobs):
            # Forests are parallel themselves: inside a worker, by threads.
            forest = RandomForestClassifier(random_state=0, n_jobs=2)
            return GridSearchCV(forest, grid, cv=3, n_jobs=n_jobs).fit(samples, labels)

        alone = search(1)
        with parallel_backend("procactors"):
            shared = search(-1)
        assert shared.best_params_ == alone.best_params_
        scores = "mean_test_score"
        assert shared.cv_results_[scores].tolist() == alone.cv_results_[scores].tolist()
