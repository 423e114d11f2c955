"""What stands behind `procactors.tracing`: spans of OpenTelemetry around messages.

Here: how a trace context travels, the sender's spans and the handler's, an actor's tracer.
Not here: what a user calls (`procactors.tracing`), and what marks a pool's work.
Nothing of it is imported in a process that is neither instrumented nor sent a traced message.
"""
