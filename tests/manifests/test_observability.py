"""The dashboard and the alerts load, and ask only for what Drover and Knative really say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from functions.rpc_trace.measures import of_queues, of_report, of_totals
from functions.rpc_trace.report import report as document
from shared.events import Tick
from shared.store import OperationState
from shared.telemetry.families import Family
from shared.telemetry.metrics import Metrics
from tests.support.firehose import BEGIN, CallStory, analysed, cast, failure

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy/observability"
PAGE = ROOT / "docs/observability.md"
TARGET_LABELS = frozenset({"function", "namespace", "pod"})
"""What podmonitor.yaml and scrape.yaml put on every series."""
KNATIVE = {
    "kn_serving_invocation_duration_seconds": {"http_response_status_code"},
    "kn_eventing_dispatch_duration_seconds": {
        "http_response_status_code",
        "kn_broker_name",
        "kn_broker_namespace",
        "messaging_destination_name",
    },
}
"""Histograms of Knative 1.21 and newer, by their OpenTelemetry names as Prometheus sees them: serving's
pkg/queue/request_metric.go, eventing's pkg/broker/filter/filter_handler.go."""
VARIABLES = {"$__rate_interval": "5m", "${datasource}": "x"}

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is not here")
kustomize = next(([path, *rest] for path, *rest in ((shutil.which("kubectl"), "kustomize"),
                 (shutil.which("kustomize"), "build")) if path), None)  # fmt: skip


def watch() -> list[Family]:
    """What a watch over RPC tells that has seen a call fail, and another one time out."""
    failed = CallStory(1, failure=failure())
    lost = CallStory(2, expiration=1.0)
    report = document(analysed([*failed.events, lost.request, lost.request_delivered], BEGIN + 60))
    totals = {"methods": {"nova|compute|ping": [2, 0]}, "causes": report["causes"]}
    queues = {"queues": {"number": 1, "messages": 0, "of_interest": []}}
    more = analysed(cast(3), BEGIN + 60)
    return [*of_totals(totals, "paris"), *of_queues(queues, "paris"), *of_report(report, "paris"),
            *of_report(document(more), "paris")]  # fmt: skip


def registry() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric of Drover's, by the name that it is exposed with."""
    metrics = Metrics()
    metrics.event_received("io.drover.tick", "accepted")
    metrics.refused("signature", "bad")
    metrics.slice_ended("drain", 1.0)
    metrics.operations({("drain", "running"): 1})
    metrics.slice_erred("drain", "unexpected")
    metrics.outbox_waiting(0)
    metrics.dead_letters_waiting(0)
    metrics.told(watch())
    known = {}
    for family in metrics.registry.collect():
        labels = {label for sample in family.samples for label in sample.labels}
        assert family.samples, f"{family.name} is new: use it here, so that its labels are known"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        known[name] = (family.type, labels - {"le"})
    return known


def series() -> dict[str, set[str]]:
    """The labels of every series that an expression may name."""
    known: dict[str, set[str]] = {}
    histograms = dict(KNATIVE)
    for name, (type_, labels) in registry().items():
        if type_ == "histogram":
            histograms[name] = labels
        else:
            known[name] = labels | TARGET_LABELS
    for name, labels in histograms.items():
        for suffix, more in (("_bucket", {"le"}), ("_count", set()), ("_sum", set())):
            known[name + suffix] = labels | TARGET_LABELS | more
    return known


def dashboard() -> dict[str, Any]:
    """The dashboard as it is."""
    return json.loads((HERE / "dashboard.json").read_text())


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    return [rule for group in yaml.safe_load((HERE / "rules.yaml").read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every expression of the dashboard and of the alerts."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for variable, value in VARIABLES.items():
                text = text.replace(variable, value)
            yield f"panel {panel['title']}", text
    for rule in rules():
        yield rule["alert"], rule["expr"]


EXPRESSIONS = list(expressions())


def nodes(expression: promql_parser.Expr) -> list[Any]:
    """The expression's parts."""
    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return found


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_expressions_ask_for_what_exists(where: str, text: str) -> None:
    """Each expression is PromQL, and its metrics and labels are those of the registry, of Knative or of the scrape."""
    known = series()
    parts = nodes(promql_parser.parse(text))
    selectors = [part for part in parts if isinstance(part, promql_parser.VectorSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name in known
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[selector.name]
    for part in parts:
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            below = [each.name for each in nodes(part.expr) if isinstance(each, promql_parser.VectorSelector)]
            assert all(set(part.modifier.labels) <= known[name] for name in below)


def test_values_are_those_of_the_code() -> None:
    """States and the tick's type are spelt in the expressions as the code spells them."""
    found: dict[str, set[str]] = {}
    for _, text in EXPRESSIONS:
        for part in nodes(promql_parser.parse(text)):
            if isinstance(part, promql_parser.VectorSelector):
                for matcher in part.matchers.matchers:
                    found.setdefault(matcher.name, set()).add(matcher.value)
    assert found["state"] <= {str(state) for state in OperationState}
    assert found["type"] == {Tick.event_type}
    said = re.findall(r"`(\w+)`", Metrics.event_received.__doc__ or "")
    assert found["result"] <= set(said)


def test_every_metric_is_on_the_dashboard() -> None:
    """Whatever is measured is shown."""
    shown = " ".join(text for where, text in EXPRESSIONS if where.startswith("panel"))
    assert [name for name in registry() if name not in shown] == []


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """Where `after` has not what `before` has; what it has besides are defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        missing = [f"{where}/{name}" for name in before if name not in after]
        both = ((name, value) for name, value in before.items() if name in after)
        return missing + [each for name, value in both for each in lost(value, after[name], f"{where}/{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for index, (one, other) in pairs for each in lost(one, other, f"{where}/{index}")]
    return [] if before == after else [where]


def through_grafanas_model(document: dict[str, Any]) -> dict[str, Any]:
    """The dashboard read into the model that Grafana publishes, panels and queries included, and written again."""
    register_default_plugins()
    written = JSONEncoder().encode(Dashboard.from_json(document))
    return json.loads(written)


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """Read into Grafana's own model and written again nothing is lost: no field is misspelt or unknown."""
    document = dashboard()
    assert lost(document, through_grafanas_model(document)) == []


@pytest.mark.parametrize("path", ["targets/0/expresion", "fieldConfig/defaults/unity", "options/legendary", "titel"])
def test_a_misspelt_field_of_the_dashboard_is_noticed(path: str) -> None:
    """A field that Grafana does not know, wherever it stands in a panel, is found."""
    document = dashboard()
    inner: Any = document["panels"][1]
    *way, last = path.split("/")
    for part in way:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = "x"
    assert lost(document, through_grafanas_model(document)) == [f"/panels/1/{path}"]


def test_panels_have_their_own_place() -> None:
    """Panels have ids of their own, do not overlap, and stay on Grafana's 24 columns."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= 24
        assert panel["title"]
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_variables_are_defined() -> None:
    """Every variable that a panel uses is one of the dashboard's, or Grafana's own."""
    document = dashboard()
    defined = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(document["panels"])))
    assert {name for name in used if not name.startswith("__")} == defined


def test_each_alert_says_what_to_do() -> None:
    """An alert has a severity, words for whom it wakes, and a section of its own on the page that it names."""
    page = PAGE.read_text()
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["annotations"]["runbook"] == f"docs/observability.md#{rule['alert'].lower()}"
        assert f"\n### {rule['alert']}\n" in page


def test_the_operator_gets_the_same_rules() -> None:
    """prometheusrule.yaml holds the groups of rules.yaml."""
    resource = yaml.safe_load((HERE / "prometheusrule.yaml").read_text())
    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"] == yaml.safe_load((HERE / "rules.yaml").read_text())


def promtool(*arguments: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = ["promtool", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    """Prometheus' own tool loads the rules, and each alert behaves as rules_test.yaml says."""
    checked = promtool("check", "rules", "rules.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", "rules_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
@pytest.mark.parametrize("wrong", ["vector(1) < 0", "vector(1)"], ids=["never", "always"])
def test_a_wrong_alert_is_noticed(alert: str, wrong: str, tmp_path: Path) -> None:
    """rules_test.yaml fails for an alert that never fires, and for one that always does."""
    document = yaml.safe_load((HERE / "rules.yaml").read_text())
    for rule in document["groups"][0]["rules"]:
        if rule["alert"] == alert:
            rule["expr"] = wrong
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    shutil.copy(HERE / "rules_test.yaml", tmp_path)
    tested = promtool("test", "rules", "rules_test.yaml", cwd=tmp_path)
    assert tested.returncode != 0
    assert alert in tested.stdout + tested.stderr


@needs_promtool
def test_promtool_accepts_the_scrape_configuration(tmp_path: Path) -> None:
    """scrape.yaml is a configuration of Prometheus' (promtool of Debian knows no Kubernetes: that part is left out)."""
    document = yaml.safe_load((HERE / "scrape.yaml").read_text())
    for job in document["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
        if "authorization" in job:
            job["authorization"]["credentials_file"] = "/dev/null"
    (tmp_path / "scrape.yaml").write_text(yaml.safe_dump(document))
    shutil.copy(HERE / "rules.yaml", tmp_path)
    checked = promtool("check", "config", "scrape.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_scrape_fits_what_is_deployed() -> None:
    """Both ways of scraping use the port of the base's settings, its functions, and the token of its Secret."""
    settings = (ROOT / "deploy/base/settings.env").read_text()
    port = re.search(r"^DROVER_METRICS_PORT=(\d+)$", settings, re.M)
    assert port
    monitor = yaml.safe_load((HERE / "podmonitor.yaml").read_text())["spec"]
    own = monitor["podMetricsEndpoints"][0]
    assert own["relabelings"][0]["replacement"] == f"$1:{port[1]}"
    assert own["authorization"]["credentials"] == {"name": "drover-door", "key": "metrics"}
    job = yaml.safe_load((HERE / "scrape.yaml").read_text())["scrape_configs"][0]
    assert job["relabel_configs"][1]["replacement"] == f"$1:{port[1]}"
    texts = [path.read_text() for path in (ROOT / "deploy/base").glob("*.yaml")]
    documents = [each for text in texts for each in yaml.safe_load_all(text)]
    services = {each["metadata"]["name"] for each in documents if each.get("apiVersion") == "serving.knative.dev/v1"}
    assert services
    assert set(monitor["selector"]["matchExpressions"][0]["values"]) == services


@pytest.mark.skipif(kustomize is None, reason="neither kubectl nor kustomize is here")
def test_the_component_can_be_rendered(tmp_path: Path) -> None:
    """kustomize makes the monitor, the rules, the network policy and the dashboard's ConfigMap of the component."""
    shutil.copytree(HERE, tmp_path / "observability")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "namespace: drover\ncomponents: [../observability]\n"
    )
    assert kustomize
    done = subprocess.run([*kustomize, tmp_path / "site"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    made = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert set(made) == {"ConfigMap", "PodMonitor", "PrometheusRule", "NetworkPolicy"}
    assert json.loads(made["ConfigMap"]["data"]["drover.json"]) == dashboard()
    assert {each["metadata"]["namespace"] for each in made.values()} == {"drover"}


def test_the_table_of_metrics_is_current() -> None:
    """docs/observability.md lists each metric with its type and labels, and no other."""
    rows = re.findall(r"^\| `(drover_\w+)` \| (\w+) \|(.*?)\| .+ \|$", PAGE.read_text(), re.M)
    listed = {name: (type_, set(re.findall(r"`(\w+)`", labels))) for name, type_, labels in rows}
    assert len(listed) == len(rows)
    assert listed == registry()
