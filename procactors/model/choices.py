"""What a user chooses among: words of options and trees, each with its few values.

Layer: model. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: imports options or trees: who knows these words need not load those.
"""

from __future__ import annotations

import enum

__all__ = ["AutoShutdown", "Delivery", "Overflow", "Restart", "Routing", "Strategy"]


class Overflow(enum.Enum):
    """What a send to a full bounded mailbox does.

    BLOCK: wait for a free place (up to the ref's ``timeout``, then ``MailboxFull``).
    RAISE: raise ``MailboxFull`` at once. DROP: a ``tell`` becomes a dead letter, an ``ask``
    raises ``MailboxFull``.
    """

    BLOCK = "block"
    RAISE = "raise"
    DROP = "drop"


class Routing(enum.Enum):
    """Which worker of a pool gets a call.

    LEAST_LOADED: a free worker draws the next one from the pool's queue: one slow call delays no
    other. ROUND_ROBIN: each in turn. RANDOM: drawn by chance. CONSISTENT_HASH: by the call's
    first argument: calls with equal ones go to the same worker, as long as there is one.
    Except for the first, a call waits for its worker even if others are free.
    """

    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    CONSISTENT_HASH = "consistent_hash"


class Restart(enum.Enum):
    """Which exits bring the actor back (OTP's restart types).

    ============  =======================  ==========================================
    policy        ``context.stop()``       exception in a tell, exit code, any signal
    ============  =======================  ==========================================
    PERMANENT     respawned                respawned
    TRANSIENT     stays down               respawned
    TEMPORARY     stays down               stays down
    ============  =======================  ==========================================

    An actor stopped from outside (``ref.stop()``, ``ref.kill()``) stays down under each.
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Delivery(enum.Enum):
    """What happens to the message in hand when its actor's process dies.

    AT_MOST_ONCE: it is reported (``ActorDied``, or a dead letter for a tell), never handled
    again. AT_LEAST_ONCE: the next incarnation gets it first, up to ``max_deliveries`` times.
    """

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Strategy(enum.Enum):
    """Which children are restarted when one dies and its policy asks for a restart (OTP's).

    ONE_FOR_ONE: that child. ONE_FOR_ALL: all children, those before it too. REST_FOR_ONE: it and
    the children that were started after it. DYNAMIC (OTP's simple_one_for_one): children are
    copies of one spec, started by `SupervisorRef.start_child`; each one for itself.
    """

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    DYNAMIC = "dynamic"


class AutoShutdown(enum.Enum):
    """Whether a supervisor stops by itself when `significant` children end by themselves (OTP's).

    NEVER: no. ANY_SIGNIFICANT: with the first of them. ALL_SIGNIFICANT: with the last of them.
    """

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"
