"""The operating system's side: how a process is started, watched, limited and ended.

Here: the launcher and the zygote, a child and its exit, the lifeline, the start order, limits,
signals and their senders, the service manager, what an import may start.
Not here: what runs in an actor's process once it is up (`runner`), and any decision
(`supervision`).
"""
