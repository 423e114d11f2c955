"""Prometheus: what is scraped is read by prometheus-client's parsers, and says what was counted."""

from __future__ import annotations

import json
import re
import urllib.request
from types import SimpleNamespace

import pytest

from procactors import ActorSystem, metrics
from procactors.metrics import snapshot
from tests.support.actors import Counter
from tests.support.source import ROOT
from tests.support.waiting import LONG_S, eventually

prometheus = pytest.importorskip("prometheus_client")
from prometheus_client import CollectorRegistry, generate_latest, start_http_server  # noqa: E402
from prometheus_client.openmetrics import exposition, parser as openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

FAMILIES = {
    "procactors_actors": "gauge",
    "procactors_mailbox_messages": "gauge",
    "procactors_restarts": "counter",
    "procactors_expired_messages": "counter",
    "procactors_errors": "counter",
    "procactors_items": "counter",
    "procactors_handling_seconds": "histogram",
    "procactors_waiting_seconds": "histogram",
    "procactors_round_trip_seconds": "histogram",
    "procactors_dead_letters": "counter",
}


def double(number):
    return 2 * number


@pytest.fixture
def registry(system):
    registry = CollectorRegistry()
    registry.register(metrics.collector(system, name="shop"))
    ref = system.options(name="till").spawn(Counter)
    for _ in range(25):
        ref.ask(Counter.increment)
    with system.options(size=1, name="render").pool() as pool:
        assert list(pool.map(double, range(100))) == [2 * number for number in range(100)]
    eventually(lambda: snapshot(system).method("increment").handled == 25, "all to be counted")
    return registry


def samples_of(families):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples, name, **labels):
    return samples[(name, *sorted({"system": "shop", **labels}.items()))]


def check(families):
    families = list(families)
    assert {family.name: family.type for family in families} == FAMILIES
    samples = samples_of(families)
    till = {"actor": "till", "method": "Counter.increment"}
    assert value(samples, "procactors_handling_seconds_count", **till) == 25
    assert value(samples, "procactors_handling_seconds_bucket", le="+Inf", **till) == 25
    assert value(samples, "procactors_handling_seconds_sum", **till) > 0
    assert value(samples, "procactors_errors_total", **till) == 0
    assert value(samples, "procactors_actors", actor="till") == 1
    assert value(samples, "procactors_actors", actor="render-*") == 0
    assert value(samples, "procactors_items_total", actor="render-*", method="double") == 100
    assert value(samples, "procactors_dead_letters_total") == 0
    trips = {"caller": "main", "method": "Counter.increment"}
    assert 0 < value(samples, "procactors_round_trip_seconds_count", **trips) <= 25
    buckets = [
        (float(dict(labels)["le"]), count)
        for (name, *labels), count in samples.items()
        if name == "procactors_handling_seconds_bucket" and ("actor", "till") in labels
    ]
    assert sorted(buckets) == sorted(buckets, key=lambda bucket: bucket[1]), "cumulative"
    assert len(buckets) == 24


def test_the_text_format_is_read_by_its_own_parser(registry):
    check(text_string_to_metric_families(generate_latest(registry).decode()))


def test_openmetrics_are_read_by_their_own_parser(registry):
    check(openmetrics.text_string_to_metric_families(exposition.generate_latest(registry).decode()))


def test_it_is_scraped_over_http(registry):
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        address = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(address, timeout=LONG_S) as answer:
            check(text_string_to_metric_families(answer.read().decode()))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_system_elsewhere_is_collected_by_its_path(system, registry):
    other = CollectorRegistry()
    other.register(metrics.collector(snapshot(system).path, name="shop"))
    check(text_string_to_metric_families(generate_latest(other).decode()))


def test_of_a_system_that_has_stopped_there_is_nothing(system, registry):
    system.stop()
    assert generate_latest(registry) == b""


def test_several_systems_are_in_the_same_families(system, registry, start_method):
    both = CollectorRegistry()
    with ActorSystem(name="other", start_method=start_method) as other:
        other.spawn(Counter).ask(Counter.increment)
        both.register(
            metrics.collector(system, SimpleNamespace(path=snapshot(other).path, name="b"))
        )
        families = list(text_string_to_metric_families(generate_latest(both).decode()))
    assert {family.name: family.type for family in families} == FAMILIES
    assert len(families) == len(FAMILIES), "each is there once"
    names = {labels["system"] for family in families for _, labels, *_ in family.samples}
    assert names == {system.name, "b"}
    with pytest.raises(TypeError, match="a name is for one system"):
        metrics.collector(system, other, name="both")


def test_the_system_is_called_by_its_name(system):
    registry = CollectorRegistry()
    registry.register(metrics.collector(system))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    names = {labels["system"] for family in families for _, labels, *_ in family.samples}
    assert names == {system.name}


def test_the_dashboard_asks_for_what_there_is():
    board = json.loads((ROOT / "docs" / "grafana" / "procactors.json").read_text())
    wanted = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    wanted += [v["definition"] for v in board["templating"]["list"] if v["type"] == "query"]
    assert len(board["panels"]) == len({panel["id"] for panel in board["panels"]}) > 10
    suffixes = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    offered = {name + end for name, kind in FAMILIES.items() for end in suffixes[kind]}
    labels = {"system", "actor", "method", "caller", "le"}
    asked = set()
    for expression in wanted:
        names = set(re.findall(r"procactors_\w+", expression))
        assert names, expression
        assert names <= offered, expression
        asked |= {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in names}
        used = re.findall(r"(\w+)=~", expression)
        used += [
            name.strip()
            for by in re.findall(r"by \(([^)]*)\)", expression)
            for name in by.split(",")
        ]
        assert set(used) <= labels, expression
    assert asked == set(FAMILIES), "no family is left out"


def test_the_page_names_each_family():
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name, kind in FAMILIES.items():
        assert f"`{name}{'_total' * (kind == 'counter')}" in page


def test_names_that_no_text_can_have_are_labels_all_the_same(system):
    """As file names that are not UTF-8, which Python reads as half characters."""
    ref = system.options(name="a\udc80\n\x1b").spawn(Counter)
    ref.ask(Counter.increment)
    registry = CollectorRegistry()
    registry.register(metrics.collector(system, name="shop\ud800"))
    samples = samples_of(text_string_to_metric_families(generate_latest(registry).decode()))
    labels = sorted({"system": "shop\\ud800", "actor": "a\\udc80\n\x1b"}.items())
    assert samples[("procactors_actors", *labels)] == 1
