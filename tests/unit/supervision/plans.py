"""Plans of trees, as they travel to the supervisor."""

from __future__ import annotations

from procactors.model import commands as c
from procactors.model.options import Options, Restart
from procactors.model.tree import AutoShutdown, Strategy


def actor(name, significant=False, **options):
    return c.ActorPlan("", "Actor", Options(name=name, **options), significant)


def tree(
    *children,
    name=None,
    strategy=Strategy.ONE_FOR_ONE,
    max_restarts=3,
    within=5.0,
    restart=Restart.PERMANENT,
    auto_shutdown=AutoShutdown.NEVER,
    significant=False,
):
    return c.SupervisorPlan(
        children, name, strategy, max_restarts, within, restart, auto_shutdown, significant
    )
