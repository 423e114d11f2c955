"""Limits of this process and of the kernel, which an actor meets sooner or later.

Layer: doctor. Runs in: the command's process.
Owns: nothing; the pidfd of a moment.
Never: changes a limit.
"""

from __future__ import annotations

import os
import resource
import signal
import time

from procactors.doctor.finding import Finding, fail, ok, read_number, read_text, warn

__all__ = ["look"]

#: Descriptors that a parent holds for each actor, and for itself.
_FOR_ACTOR, _FOR_PARENT = 2, 64
#: Descriptors, and processes, with which a program of some size comes to an end.
_FEW_FILES, _FEW_PROCESSES = 1024, 256
#: Pages of a pipe.
_PIPE_PAGES = 16
#: Nanoseconds that a look at a slow clock takes: a fast one takes 50.
_SLOW_CLOCK_NS = 1000
#: What a shell has its background jobs ignore, and what a careless parent does.
_HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


def look(root: str = "/") -> list[Finding]:
    """Return what was found.

    Args:
        root: where the kernel's files are looked for.
    """
    return [
        files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        processes(resource.getrlimit(resource.RLIMIT_NPROC)[0], _count_own(root)),
        pipes(root),
        locked_memory(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]),
        overcommit(root),
        pidfds(),
        ptrace(root),
        signals(root),
        clock(root),
    ]


def files(soft: int, hard: int) -> Finding:
    """Judge the limits of open descriptors; the runtime raises the soft one to the hard one."""
    most = hard if hard != resource.RLIM_INFINITY else 1 << 20
    actors = max(0, most - _FOR_PARENT) // _FOR_ACTOR
    says = f"{soft} open files, at most {_limit(hard)}: enough for {actors} actors"
    facts = {"soft": soft, "hard": hard, "actors": actors}
    if most < _FEW_FILES:
        advice = "raise the hard limit: ulimit -Hn, LimitNOFILE= of systemd, --ulimit of docker"
        return warn("open files", says, advice, **facts)
    return ok("open files", says, **facts)


def processes(limit: int, own: int) -> Finding:
    """Judge how many processes and threads this user may have, and has."""
    says = f"{own} of {_limit(limit)} processes and threads of this user"
    if limit != resource.RLIM_INFINITY and limit - own < _FEW_PROCESSES:
        advice = "raise the limit (ulimit -u, nproc in limits.conf), or end some: each actor is one"
        return warn("processes", says, advice, limit=limit, used=own)
    return ok("processes", says, limit=_number(limit), used=own)


def pipes(root: str) -> Finding:
    """Judge how large this user's pipes may be: each mailbox is one."""
    largest = read_number(os.path.join(root, "proc/sys/fs/pipe-max-size"))
    soft = read_number(os.path.join(root, "proc/sys/fs/pipe-user-pages-soft"))
    hard = read_number(os.path.join(root, "proc/sys/fs/pipe-user-pages-hard"))
    facts = {"pipe_max_size": largest, "user_pages_soft": soft, "user_pages_hard": hard}
    if soft is None or largest is None:
        return ok("pipes", "the kernel does not tell their limits", **facts)
    if hard:
        says = f"after {hard // _PIPE_PAGES} pipes this user gets no more"
        advice = "sysctl fs.pipe-user-pages-hard=0: each actor's mailbox and each caller has a pipe"
        return warn("pipes", says, advice, **facts)
    if soft == 0:
        return ok("pipes", "64 KiB each, for any number", **facts)
    whole = soft // _PIPE_PAGES
    says = f"64 KiB each for the first {whole} of this user, then two pages at most"
    if whole < _FEW_PROCESSES:
        advice = "sysctl fs.pipe-user-pages-soft=16384: in a small pipe messages wait at the sender"
        return warn("pipes", says, advice, **facts)
    return ok("pipes", says, **facts)


def locked_memory(limit: int) -> Finding:
    """Say how much memory may be locked: nothing of ours is, but a library may want to."""
    return ok("locked memory", f"{_limit(limit)} bytes; actors need none", limit=_number(limit))


def overcommit(root: str) -> Finding:
    """Judge whether a fork may be refused that would never touch the memory."""
    mode = read_number(os.path.join(root, "proc/sys/vm/overcommit_memory"))
    if mode == 2:
        says = "the kernel promises no more memory than it has (vm.overcommit_memory=2)"
        advice = "a start may be refused while memory is free: vm.overcommit_memory=0, or more swap"
        return warn("overcommit", says, advice, mode=mode)
    return ok("overcommit", f"vm.overcommit_memory={mode}", mode=mode)


def pidfds() -> Finding:
    """Try whether a process can be watched and signalled by a descriptor."""
    try:
        fd = os.pidfd_open(os.getpid())
    except (OSError, AttributeError) as error:
        advice = "a sandbox (seccomp) filters pidfd_open: take a newer one, or allow it"
        return fail("pidfd", f"no process can be watched: {error}", advice)
    try:
        signal.pidfd_send_signal(fd, 0)
    except OSError as error:
        advice = (
            "a sandbox (seccomp) filters pidfd_send_signal: take a newer one, or allow the call"
        )
        return fail("pidfd", f"no process can be signalled: {error}", advice)
    finally:
        os.close(fd)
    return ok("pidfd", "processes can be watched and signalled")


def ptrace(root: str) -> Finding:
    """Judge whether py-spy may look into a process of the same user."""
    scope = read_number(os.path.join(root, "proc/sys/kernel/yama/ptrace_scope")) or 0
    seccomp = _status(root).get("Seccomp", "0")
    says = f"yama ptrace_scope {scope}, seccomp {'on' if seccomp != '0' else 'off'}"
    if scope > 0:
        advice = (
            "py-spy reads only its own children: native stacks of a running actor need sudo, or "
            "sysctl kernel.yama.ptrace_scope=0; stacks of Python need nothing"
        )
        return warn("ptrace", says, advice, scope=scope, seccomp=seccomp)
    return ok("ptrace", says, scope=scope, seccomp=seccomp)


def signals(root: str) -> Finding:
    """Judge which signals this process ignores: what it starts, ignores them too."""
    mask = int(_status(root).get("SigIgn", "0"), 16)
    ignored = [number.name for number in _HEEDED if mask >> (number - 1) & 1]
    if not ignored:
        return ok("signals", "none is ignored that matters", ignored=[])
    advice = "a shell does it to jobs in the background: start it otherwise, or stop it by SIGTERM"
    if "SIGCHLD" in ignored:
        advice = (
            "under the start methods spawn and fork the exit codes of actors are lost: have what "
            "starts this program leave SIGCHLD alone"
        )
    says = f"{', '.join(ignored)} ignored, and so by what is started here"
    return warn("signals", says, advice, ignored=ignored)


def clock(root: str) -> Finding:
    """Judge the kernel's clock: each message looks at it."""
    folder = "sys/devices/system/clocksource/clocksource0/current_clocksource"
    source = read_text(os.path.join(root, folder)) or "unknown"
    took_ns = min(_clock_ns() for _ in range(5))
    says = f"{source}, {took_ns:.0f} ns a look"
    if took_ns > _SLOW_CLOCK_NS:
        advice = "the clock is read by a system call: a virtual machine may offer kvm-clock or tsc"
        return warn("clock", says, advice, source=source, look_ns=took_ns)
    return ok("clock", says, source=source, look_ns=took_ns)


def _clock_ns() -> float:
    began = time.perf_counter_ns()
    for _ in range(1000):
        time.monotonic()
    return (time.perf_counter_ns() - began) / 1000


def _count_own(root: str) -> int:
    """Return how many threads this user has, as far as they are to be seen."""
    count, user = 0, os.getuid()
    for name in os.listdir(os.path.join(root, "proc")):
        path = os.path.join(root, "proc", name)
        try:
            if name.isdigit() and os.stat(path).st_uid == user:
                count += len(os.listdir(os.path.join(path, "task")))
        except OSError:  # it has ended meanwhile
            continue
    return count


def _status(root: str) -> dict[str, str]:
    text = read_text(os.path.join(root, "proc/self/status")) or ""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _number(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value
