"""Recycling: a process that leaks makes way for a fresh one, and its state goes over.

After every 1000 messages the incarnation ends between two messages and the next one begins, in a
process of its own, with the same mailbox. No message is lost or handled twice, no sender notices,
and it counts as no restart. What `snapshot` returns is given to `restore`.

Run it: procactors examples recycle

Expected output:

    counted 2500 words, 'spam' 500 times
    incarnation 3, recycled 2 times, restarts: 0
    the leak of this life: 500 blocks
"""

from procactors import Actor, ActorSystem, Recycle


class WordCount(Actor):
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.leak: list[bytes] = []  # stands for a library that never gives memory back

    def add(self, word: str) -> None:
        self.leak.append(bytes(1000))
        self.counts[word] = self.counts.get(word, 0) + 1

    def look(self) -> tuple[dict[str, int], int]:
        return self.counts, len(self.leak)

    def snapshot(self) -> dict[str, int]:
        return self.counts

    def restore(self, state: dict[str, int]) -> None:
        self.counts = state


with ActorSystem() as system:
    # Also by time and by memory: Recycle(messages=1000, seconds=3600.0, memory_growth=500_000_000)
    counter = system.options(recycle_after=Recycle(messages=1000)).spawn(WordCount)
    for number in range(2500):
        counter.tell(WordCount.add, ("egg", "ham", "spam", "tea", "toast")[number % 5])

    counts, leaked = counter.ask(WordCount.look)
    status = counter.status()
    print(f"counted {sum(counts.values())} words, 'spam' {counts['spam']} times")
    print(
        f"incarnation {status.incarnation}, recycled {status.recycled} times, "
        f"restarts: {status.restarts}"
    )
    print(f"the leak of this life: {leaked} blocks")
