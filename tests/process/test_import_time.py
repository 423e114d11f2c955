"""Modules that make systems when they are imported: they work without a guard, nothing multiplies.

An actor imports its class's module, and each such import could start all of it again.
"""

from __future__ import annotations

import sys
import textwrap

import pytest

from procactors.process.nesting import _DEPTH, _MOST
from tests.support.programs import environment, running_python
from tests.support.source import ROOT

#: Behind what a program does: how many processes there are of it, but for itself.
COUNT = """
import psutil
left = [one for one in psutil.Process().children(recursive=True)
        if one.name() != "actor-spare"  # behind several starts in a row one waits for a next
        and not any("resource_tracker" in word for word in one.cmdline())]
print(len(left), "processes")
"""

#: What a web application makes when its module is imported, and what a handler may do with it.
SERVICE = """
    from procactors import Actor, ActorSystem, Supervisor, spec
    from procactors.futures import ActorPoolExecutor

    class Model(Actor):
        def predict(self, x):
            return 2 * x
        def use(self, what):
            import svc
            return eval(what)

    def double(x):
        return 2 * x

    system = ActorSystem(start_method=METHOD, name="shop")
    model = system.spawn(Model)
    model.tell(Model.predict, 1)
    asked = model.submit(Model.predict, 1)
    pool = system.options(size=1).pool()
    called = pool.submit(double, 1)
    pool.tell(double, 1)
    tree = system.supervise(Supervisor(spec(Model).options(name="treed")))
    treed = system["treed"]
    inbox = system.inbox()
    shared = system.share([1, 2])
    seen = []
    subscription = system.events.subscribe(seen.append)
    system.dead_letters.subscribe(seen.append)
    executor = ActorPoolExecutor(1, start_method=METHOD)
    done = executor.submit(double, 3)
    with ActorSystem(start_method=METHOD) as brief:
        brief.spawn(Model).tell(Model.predict, 1)
"""


def run_program(folder, method, main, **modules):
    """Run modules of a folder; return (exit code, lines, errors), with nothing left behind."""
    head = f"METHOD = {method!r}\n"
    for name, text in {**modules, "main": main}.items():
        (folder / f"{name}.py").write_text(head + textwrap.dedent(text))
    with running_python("main.py", cwd=folder) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    return code, out.splitlines(), errors


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_a_module_that_makes_a_system_needs_no_guard(method, tmp_path):
    service = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return x * 2
        system = ActorSystem(start_method=METHOD)
        model = system.spawn(Model)
    """
    main = "import svc\nprint(svc.model.ask(svc.Model.predict, 4))\n" + COUNT
    code, lines, errors = run_program(tmp_path, method, main, svc=service)
    assert (code, lines, errors) == (0, ["8", "2 processes"], "")


def test_all_that_a_module_makes_works_for_the_program_alone(start_method, tmp_path):
    main = """
        import svc
        print(svc.model.ask(svc.Model.predict, 4), list(svc.pool.map(svc.double, range(3))))
        print(svc.treed.ask(svc.Model.predict, 5), svc.done.result(), svc.called.result())
    """
    # The zygotes of both systems, the model, the one in the tree, two workers.
    code, lines, errors = run_program(
        tmp_path, start_method, textwrap.dedent(main) + COUNT, svc=SERVICE
    )
    assert (code, lines, errors) == (0, ["8 [0, 2, 4]", "10 6 2", "6 processes"], "")


USES = {
    "svc.model.ask(svc.Model.predict, 4)": "model-1",
    "svc.model.tell(svc.Model.predict, 4)": "model-1",
    "svc.model.submit(svc.Model.predict, 4).result()": "model-1",
    "svc.model.status()": "what is used here",
    "svc.model.stop()": "what is used here",
    "svc.asked.result()": "model-1",
    "svc.pool.ask(svc.double, 1)": "worker-pool-",
    "svc.pool.tell(svc.double, 1)": "worker-pool-",
    "list(svc.pool.map(svc.double, [1]))": "worker-pool-",
    "svc.pool.gather(svc.double, 1)": "worker-pool-",
    "svc.called.result()": "worker-pool-",
    "svc.done.result()": "executor",
    "svc.system.spawn(svc.Model)": "shop, asked to spawn,",
    "svc.system.pool()": "shop, asked to pool,",
    "svc.system['treed']": "shop, asked to find,",
    "svc.system.inbox()": "shop, asked to inbox,",
    "svc.tree.children()": "what is used here",
    "svc.treed.ask(svc.Model.predict, 5)": "treed",
    "svc.inbox.receive()": "what is used here",
    "svc.shared.get()": "this shared list",
}


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_whoever_uses_it_in_an_actor_is_told_what_it_is(method, tmp_path):
    main = f"""
        import svc
        for what in {list(USES)!r}:
            try:
                print("no error:", svc.model.ask(svc.Model.use, what))
            except Exception as error:
                print(type(error).__name__, error)
        print(svc.model.ask(svc.Model.use, "repr(svc.system)"))
        facts = "svc.model.is_alive(), svc.seen, svc.system.stop().left"
        print(svc.model.ask(svc.Model.use, facts))
        print(svc.model.ask(svc.Model.use, "svc.executor.submit(svc.double, 4).result()"))
        # As a value it travels, and is no other's.
        try:
            svc.model.ask(svc.Model.use, "svc.model").ask(svc.Model.predict, 1)
        except Exception as error:
            print(type(error).__name__, error)
    """
    code, lines, errors = run_program(tmp_path, method, main, svc=SERVICE)
    assert (code, errors) == (0, "")
    *told, shown, facts, made_here, sent = lines
    for (what, name), line in zip(USES.items(), told, strict=True):
        start, rest = f"ForeignProcess {name}", "is inert: the module svc made it"
        assert line.startswith(start), f"{what}: {line}"
        assert rest in line, f"{what}: {line}"
        assert "send the program's own ref to the actor" in line
    assert shown == "<ActorSystem shop (inert: made while a module was imported)>"
    assert facts == "(False, [], 0)"
    # An executor is started where it is first used: here by a handler.
    assert made_here == "8"
    assert sent.startswith("ForeignProcess model-1 is inert: the module svc made it")


def test_an_ask_at_import_fails_the_start_and_names_the_module(tmp_path):
    service = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def version(self):
                return 7
        class Other(Model):
            pass
        system = ActorSystem()
        model = system.spawn(MAKE)
        VERSION = model.ask(Model.version)
    """
    main = """
        from procactors.errors import SpawnError
        try:
            import svc
        except SpawnError as error:
            print(error)
    """
    service = service.replace("MAKE", "Model")
    code, lines, errors = run_program(tmp_path, "forkserver", main, svc=service)
    assert code == 0, errors
    assert "model-1 is inert: the module svc made it" in " ".join(lines)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_functions_of_such_a_module_run_in_pools_executors_and_joblib(method, tmp_path):
    pytest.importorskip("joblib")
    main = """
        import svc, joblib, procactors.joblib
        from procactors import ActorSystem
        from procactors.futures import ActorPoolExecutor
        svc.system.stop(); svc.executor.shutdown()
        with ActorSystem(start_method=METHOD) as system, system.options(size=1).pool() as pool:
            print(list(pool.map(svc.double, range(3))))
        with ActorPoolExecutor(1, start_method=METHOD) as executor:
            print(executor.submit(svc.double, 2).result())
        procactors.joblib.register()
        with joblib.parallel_config("procactors", n_jobs=2, start_method=METHOD):
            print(joblib.Parallel()(joblib.delayed(svc.double)(n) for n in range(3)))
            joblib.Parallel()(joblib.delayed(svc.double)(n) for n in range(2))
    """
    code, lines, errors = run_program(tmp_path, method, main, svc=SERVICE)
    assert (code, lines, errors) == (0, ["[0, 2, 4]", "4", "[0, 2, 4]"], "")


def test_a_command_line_job_of_such_a_module_works(tmp_path):
    (tmp_path / "svc.py").write_text("METHOD = 'forkserver'\n" + textwrap.dedent(SERVICE))
    (tmp_path / "items").write_text("1\n2\n")
    command = ["-m", "procactors", "map", "svc:double", "items", "-j", "1", "-q"]
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with running_python(*command, cwd=tmp_path, env=environment() | path) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert code == 0, errors
    assert [line.count('"11"') + line.count('"22"') for line in out.splitlines()] == [1, 1]


def test_a_handler_may_import_a_module_that_makes_a_system(start_method, tmp_path):
    """It is the actor's own then; but not if the program has made one of that module before."""
    library = """
        from procactors import Actor, ActorSystem
        class Engine(Actor):
            def run(self, x):
                return x + 1
        engine = ActorSystem(start_method=METHOD).spawn(Engine)
    """
    main = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def lazily(self, x):
                import library
                return library.engine.ask(library.Engine.run, x)
        if __name__ == "__main__":
            with ActorSystem(start_method=METHOD) as system:
                model = system.spawn(Model)
                print(model.ask(Model.lazily, 1))
                import library
                try:
                    print(system.spawn(Model).ask(Model.lazily, 1))
                except Exception as error:
                    print(type(error).__name__, error)
    """
    code, lines, errors = run_program(tmp_path, start_method, main, library=library)
    assert (code, errors) == (0, "")
    if start_method == "fork":  # the copy has the module already, with the program's own ref
        assert lines[0] == "2"
    else:
        assert lines[0] == "2"
        assert lines[1].startswith("ForeignProcess engine-1 is inert: the module library made it")


def test_a_thread_that_a_module_starts_makes_an_inert_one_too(tmp_path):
    service = """
        import threading
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return 2 * x
        made = []
        thread = threading.Thread(target=lambda: made.append(ActorSystem()))
        thread.start()
        thread.join()
        model = made[0].spawn(Model)
    """
    main = "import svc\nprint(svc.model.ask(svc.Model.predict, 4))\n" + COUNT
    code, lines, errors = run_program(tmp_path, "forkserver", main, svc=service)
    assert (code, lines, errors) == (0, ["8", "2 processes"], "")


@pytest.mark.parametrize("method", ["forkserver", "spawn"])  # a fork has no such thread
def test_a_thread_of_a_module_is_known_after_the_import_too(method, tmp_path):
    """And it is not taken for one that a handler starts, which may make what it likes."""
    service = """
        import queue, threading
        from procactors import Actor, ActorSystem
        go, told = threading.Event(), queue.SimpleQueue()
        def make(*wait):
            for event in wait:
                event.wait()
            with ActorSystem(start_method=METHOD) as system:
                told.put("inert" in repr(system))
        class Model(Actor):
            def look(self):
                go.set()
                seen = [told.get()]
                threading.Thread(target=make).start()
                return [*seen, told.get()]
        threading.Thread(target=make, args=(go,), daemon=True).start()
        system = ActorSystem(start_method=METHOD)
    """
    main = "import svc\nprint(svc.system.spawn(svc.Model).ask(svc.Model.look))"
    code, lines, errors = run_program(tmp_path, method, main, svc=service)
    assert (code, lines, errors) == (0, ["[True, False]"], "")


def test_a_class_below_the_systems_own_is_inert_as_well(tmp_path):
    service = """
        from procactors import Actor, ActorSystem
        class Mine(ActorSystem):
            def __init__(self, word):
                super().__init__()
                self.word = word
        class Model(Actor):
            def look(self):
                return system.word, isinstance(system, Mine), "inert" in repr(system)
        system = Mine("mine")
        model = system.spawn(Model)
    """
    main = "import svc\nprint(svc.model.ask(svc.Model.look))\n" + COUNT
    code, lines, errors = run_program(tmp_path, "forkserver", main, svc=service)
    assert (code, lines, errors) == (0, ["('mine', True, True)", "2 processes"], "")


def test_a_program_that_is_run_at_import_says_where_its_guard_belongs(tmp_path):
    service = """
        import procactors
        class Model(procactors.Actor):
            pass
        def main(system):
            try:
                system.spawn(Model)
            except procactors.errors.SpawnError as error:
                print(error)
        procactors.run(main)
    """
    code, lines, errors = run_program(tmp_path, "forkserver", "import svc", svc=service)
    assert code == 0, errors
    assert "procactors.run was called by the module svc" in " ".join(lines)
    assert "if __name__ == '__main__'" in " ".join(lines)


def test_processes_of_others_have_systems_of_their_own(tmp_path):
    """As the workers of a web server: each is a program that imports the application."""
    main = """
        import multiprocessing, svc
        def work(queue):
            queue.put(svc.model.ask(svc.Model.predict, 4))
            svc.system.stop()
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.SimpleQueue()
            process = context.Process(target=work, args=(queue,))
            process.start()
            print(queue.get())
            process.join()
            print(process.exitcode)
    """
    service = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return x * 2
        system = ActorSystem()
        model = system.spawn(Model)
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main, svc=service)
    assert (code, lines, errors) == (0, ["8", "0"], "")


# -- levels -------------------------------------------------------------------------------------


def test_systems_in_systems_in_systems_are_refused(start_method, tmp_path):
    main = """
        from procactors import Actor, ActorSystem
        class Nest(Actor):
            def __init__(self, log):
                open(log, "a").write("x")
                self.inner = ActorSystem(start_method=METHOD)
                self.child = self.inner.spawn(Nest, log)
        with ActorSystem(start_method=METHOD) as system:
            try:
                system.spawn(Nest, "log")
            except Exception as error:
                print(type(error).__name__, error)
    """
    code, lines, errors = run_program(tmp_path, start_method, main)
    assert code == 0, errors
    assert lines[0].startswith("SpawnError")
    assert "this ActorSystem is refused: this process is inside 3 actor systems" in " ".join(lines)
    assert (tmp_path / "log").read_text() == "x" * _MOST


def test_executors_in_executors_are_refused(tmp_path):
    main = """
        from procactors.futures import ActorPoolExecutor
        def work(log):
            open(log, "a").write("x")
            with ActorPoolExecutor(1) as executor:
                return executor.submit(work, log).result()
        with ActorPoolExecutor(1) as executor:
            print(repr(executor.submit(work, "log").exception()))
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main)
    assert code == 0, errors
    assert "this executor is refused: this process is inside 3 actor systems" in lines[0]
    assert (tmp_path / "log").read_text() == "x" * _MOST


def test_a_program_that_an_actor_starts_is_one_level_deeper(tmp_path):
    main = """
        import subprocess, sys
        from procactors import Actor, ActorSystem
        class Runner(Actor):
            def run(self):
                return subprocess.run([sys.executable, "main.py"], capture_output=True, text=True)
        open("log", "a").write("x")
        try:
            system = ActorSystem()
        except Exception as error:
            print(error)
        else:
            with system:
                print(system.spawn(Runner).ask(Runner.run).stdout.strip())
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main)
    assert code == 0, errors
    assert lines[0].startswith("this ActorSystem is refused: this process is inside 3")
    assert f"without {_DEPTH} in its environment" in lines[0]
    assert (tmp_path / "log").read_text() == "x" * (_MOST + 1)


# -- preloading ---------------------------------------------------------------------------------


def test_a_preloaded_module_that_makes_a_system_is_warned_of(tmp_path):
    main = """
        from procactors import ActorSystem
        with ActorSystem(preload=["svc"], spares=1) as system:
            import svc
            print(system.spawn(svc.Model).ask(svc.Model.predict, 4))
        svc.system.stop(), svc.executor.shutdown()
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main, svc=SERVICE)
    assert (code, lines) == (0, ["8"])
    assert "the preloaded module 'svc' makes an actor system at import (in svc)" in errors
    assert len(errors.splitlines()) == 1, errors


def test_a_preloaded_module_that_leaves_threads_behind_is_warned_of(tmp_path):
    left = """
        import threading
        forever = threading.Event()
        threading.Thread(target=forever.wait, name="poller", daemon=True).start()
    """
    main = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return 2 * x
        with ActorSystem(preload=["json", "left"]) as system:
            print(system.spawn(Model).ask(Model.predict, 4))
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main, left=left)
    assert (code, lines) == (0, ["8"])
    told = "the preloaded module 'left' has left threads behind: poller. A fork"
    assert errors.startswith(told), errors
    assert len(errors.splitlines()) == 1, errors


def test_a_web_application_is_served_by_threads(tmp_path):
    """The example, imported by a server of the standard library's, as any other would import it."""
    (tmp_path / "web_app.py").write_bytes((ROOT / "examples" / "web_app.py").read_bytes())
    main = """
        import socketserver, threading, urllib.request, wsgiref.simple_server, web_app
        class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
            daemon_threads = True
        class Handler(wsgiref.simple_server.WSGIRequestHandler):
            def log_message(self, *args):
                pass
        server = wsgiref.simple_server.make_server(
            "127.0.0.1", 0, web_app.application, Server, Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for rows in (3, 4):
            url = f"http://127.0.0.1:{server.server_port}/{rows}"
            print(urllib.request.urlopen(url).read().decode())
        server.shutdown()
        server.server_close()
    """
    code, lines, errors = run_program(tmp_path, "forkserver", textwrap.dedent(main) + COUNT)
    stones = ["a triangle of 3 rows has 6 stones", "a triangle of 4 rows has 10 stones"]
    assert (code, lines, errors) == (0, [*stones, "2 processes"], "")


@pytest.mark.parametrize("end", ["raise ValueError('broken')", "import sys; sys.exit(3)"])
def test_a_preloaded_module_that_fails_is_left_out(tmp_path, end):
    main = """
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return 2 * x
        with ActorSystem(preload=["left"]) as system:
            print(system.spawn(Model).ask(Model.predict, 4))
    """
    code, lines, errors = run_program(tmp_path, "forkserver", main, left=end)
    assert (code, lines) == (0, ["8"])
    assert "preload of 'left' failed: it is left out" in errors


def test_the_interpreter_of_these_tests_is_inside_no_system():
    """Else the numbers above would be others."""
    assert _DEPTH not in environment(), sys.argv
