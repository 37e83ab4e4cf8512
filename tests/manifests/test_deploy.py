"""deploy/: every overlay renders, is what was rendered before, and holds to the rules of the house."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.deploy.checks import examine
from cli.deploy.manifests import Manifest, Manifests, parse, read, render
from shared.access.caller import TIME_EVENTS, Knock
from shared.access.signature import Signature
from shared.clock import SystemClock
from shared.events import Event
from tests.manifests.rendering import KEYS, RENDERED, ROOT, SITES, site

DOCS = ROOT / "docs/deploy.md"
RENDERER = shutil.which("kubectl") or shutil.which("kustomize")
needs_renderer = pytest.mark.skipif(RENDERER is None, reason="neither kubectl nor kustomize is installed")


def _bodies(manifests: Manifests) -> Mapping[tuple[str, str], Any]:
    return {(each.kind, each.name): each.body for each in manifests.all}


def _pods(manifests: Manifests) -> Iterator[tuple[Manifest, Any]]:
    for service in manifests.of("serving.knative.dev", "Service"):
        yield service, service.at("spec", "template", "spec")


@pytest.fixture(params=SITES)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Each deployment as it was rendered."""
    return read(str(RENDERED / f"{request.param}.yaml"))


@needs_renderer
@pytest.mark.parametrize("name", SITES)
def test_what_was_rendered_is_current(name: str, tmp_path: Path) -> None:
    """Whoever changes deploy/ must run tests/manifests/rendering.py: other tests read its results."""
    fresh = parse(render(site(tmp_path, *SITES[name])), name)
    assert _bodies(fresh) == _bodies(read(str(RENDERED / f"{name}.yaml")))


@needs_renderer
@pytest.mark.parametrize("overlay", ["sqlite", "postgres", "rabbitmq-broker"])
def test_a_bare_overlay_lacks_an_image_and_a_door(overlay: str) -> None:
    """What is yours to decide is all that the check misses in an overlay."""
    report = examine(read(str(ROOT / "deploy/overlays" / overlay)))
    functions = len(list((ROOT / "functions").glob("*/func.py")))
    words = {"an image with a tag": functions, "DROVER_DOOR_SECRET, or": functions}
    found = [str(problem) for problem in report.problems]
    assert {word: sum(word in line for line in found) for word in words} == words
    assert len(found) == sum(words.values())


@needs_renderer
def test_both_doors_at_once(tmp_path: Path) -> None:
    """A site may have both components, to go from one to the other."""
    place = site(tmp_path, "postgres", "oidc")
    path = place / "kustomization.yaml"
    path.write_text(
        path.read_text().replace("[../components/oidc]", "[../components/oidc, ../components/shared-secret]")
    )
    assert [str(each) for each in examine(read(str(place))).problems] == []


@needs_renderer
def test_the_page_makes_a_site_that_works(tmp_path: Path) -> None:
    """The kustomization in docs/deploy.md, written as the page says, has no problem; nor has its patch for sleeping."""
    place = site(tmp_path, "postgres", "shared-secret")
    text = DOCS.read_text()
    (whole,) = re.findall(r"<<'EOF'\n(.*?)EOF\n", text, re.S)
    (patches,) = re.findall(r"```yaml\n(patches:.*?)```", text, re.S)
    (place / "kustomization.yaml").write_text(whole + patches)
    found = read(str(place))
    assert [str(problem) for problem in examine(found).problems] == []
    assert _bodies(found)["Service", "migrate"]["spec"]["template"]["metadata"]["annotations"][
        "autoscaling.knative.dev/window"] == "6s"  # fmt: skip


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("openssl")), reason="jq or openssl is not installed")
def test_the_page_signs_as_the_door_wants_it(tmp_path: Path) -> None:
    """What the page computes with jq and openssl is let in, and is not once the event was changed."""
    (script,) = re.findall(r"```sh\n(secret=.*?)\nkubectl", DOCS.read_text(), re.S)
    place = tmp_path / "deploy/components/shared-secret"
    place.mkdir(parents=True)
    (place / "door.env").write_text("".join(f"{name}={key}\n" for name, key in KEYS.items()))
    script += '\nprintf "%s\\n" "$id" "$time" "$signature" "$data"\n'
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    id, time, signature, data = done.stdout.splitlines()
    door = Signature([KEYS["secret"]], SystemClock())
    for host, allowed in (("cmp07", True), ("cmp08", False)):
        content = {**yaml.safe_load(data), "host": host}
        event = _event(id, time, content, signature)
        if allowed:
            assert door.judge(Knock("POST", {}, "127.0.0.1", event)) is not None
        else:
            with pytest.raises(Exception, match="does not fit the event"):
                door.judge(Knock("POST", {}, "127.0.0.1", event))


def _event(id: str, time: str, data: Any, signature: str) -> Event:
    from datetime import datetime

    return Event(
        id, "/tickets", "io.drover.drain.requested", data, time=datetime.fromisoformat(time),
        extensions={"droversignature": signature},
    )  # fmt: skip


def test_everything_is_in_drovers_namespace(manifests: Manifests) -> None:
    """Nothing is put anywhere else, and nothing is for the whole cluster but the Namespace."""
    places = {each.name if each.kind == "Namespace" else each.at("metadata", "namespace") for each in manifests.all}
    assert places == {"drover"}


def test_nobody_has_a_right(manifests: Manifests) -> None:
    """There is no Role and no binding, and no pod gets a token of its service account by itself."""
    assert not [each.label for each in manifests.all if each.group == "rbac.authorization.k8s.io"]
    for account in manifests.of("", "ServiceAccount"):
        assert account.body["automountServiceAccountToken"] is False
    for service, pod in _pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == service.name


def test_the_namespace_admits_only_harmless_pods(manifests: Manifests) -> None:
    """Pod Security `restricted`; `baseline` only where eventing-rabbitmq puts its own pods."""
    namespace = manifests.find("", "Namespace", "drover")
    assert namespace is not None
    rabbit = any(manifests.of("eventing.knative.dev", "RabbitmqBrokerConfig"))
    label = namespace.at("metadata", "labels", "pod-security.kubernetes.io/enforce")
    assert label == ("baseline" if rabbit else "restricted")


def test_nothing_is_left_for_a_server_to_fill_in(manifests: Manifests) -> None:
    """Lists are compared whole: a field that the server adds to an entry would make every apply a change."""
    for service, pod in _pods(manifests):
        kept = {each["name"] for each in pod["volumes"] if "emptyDir" in each or "persistentVolumeClaim" in each}
        for container in pod["containers"]:
            assert container["name"], service.name
            assert {"successThreshold", "failureThreshold", "timeoutSeconds"} <= container["readinessProbe"].keys()
            assert "port" in container["readinessProbe"]["httpGet"]
            assert "port" in container["livenessProbe"]["httpGet"]
            mounts = container["volumeMounts"]
            assert all(each.get("readOnly") for each in mounts if each["name"] not in kept)
        tokens = [each for volume in pod["volumes"] for each in volume.get("projected", {}).get("sources", [])]
        assert all(
            "expirationSeconds" in each["serviceAccountToken"] for each in tokens if "serviceAccountToken" in each
        )
    for policy in manifests.of("networking.k8s.io", "NetworkPolicy"):
        for rule in [*(policy.at("spec", "ingress") or ()), *(policy.at("spec", "egress") or ())]:
            assert all("protocol" in port for port in rule.get("ports", ())), policy.name


def test_nothing_comes_in_or_goes_out_by_default(manifests: Manifests) -> None:
    """One policy denies all; no other one lets in without saying from where, or out without saying to which port."""
    policies = {each.name: each.body["spec"] for each in manifests.of("networking.k8s.io", "NetworkPolicy")}
    assert policies.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, spec in policies.items():
        assert all(rule.get("from") and rule.get("ports") for rule in spec.get("ingress", ())), name
        assert all(rule.get("to") or rule.get("ports") for rule in spec.get("egress", ())), name
        assert all({"protocol": "TCP", "port": 8080} not in rule["ports"] for rule in spec.get("ingress", ())
                   if "serving.knative.dev/service" in str(spec["podSelector"])), name  # fmt: skip


def test_triggers_are_few(manifests: Manifests) -> None:
    """A channel-based broker sends each event once for every Trigger; RabbitMQ's has a queue for each type."""
    triggers = list(manifests.of("eventing.knative.dev", "Trigger"))
    exact = [trigger for trigger in triggers if trigger.at("spec", "filter", "attributes")]
    assert exact in ([], triggers)
    assert exact or len(triggers) == 2 * len(list(manifests.of("serving.knative.dev", "Service")))
    for trigger in triggers:
        assert len(trigger.name) <= 29, "Knative's service account for it would have a digest in its name"
        assert trigger.name.startswith(str(trigger.at("spec", "subscriber", "ref", "name")))


def test_replies_do_not_nest(manifests: Manifests) -> None:
    """The in-memory channel answers before it delivers; Knative hands the annotation of the Broker on to it."""
    broker = manifests.find("eventing.knative.dev", "Broker", "drover")
    assert broker is not None
    annotations = broker.at("metadata", "annotations")
    if annotations["eventing.knative.dev/broker.class"] == "MTChannelBasedBroker":
        assert annotations["messaging.knative.dev/async-handler"] == "true"
        channel = manifests.find("", "ConfigMap", broker.at("spec", "config", "name"))
        assert channel is not None
        assert yaml.safe_load(channel.at("data", "channel-template-spec"))["kind"] == "InMemoryChannel"


def test_a_schedule_says_what_it_stands_for(manifests: Manifests) -> None:
    """The type of a PingSource's events is fixed; each of ours stands for one time event, and both are there."""
    found = [each.at("spec", "ceOverrides", "extensions", "drovertype")
             for each in manifests.of("sources.knative.dev", "PingSource")]  # fmt: skip
    assert sorted(found) == sorted(TIME_EVENTS)


def test_a_changed_setting_makes_a_new_revision(manifests: Manifests) -> None:
    """The Services name the settings by a name that has their hash in it."""
    settings = [each.name for each in manifests.of("", "ConfigMap") if each.name.startswith("drover-settings-")]
    assert len(settings) == 1
    for _, pod in _pods(manifests):
        assert [each["configMapRef"]["name"] for each in pod["containers"][0]["envFrom"]] == settings


def test_the_schemas_are_those_that_sources_names() -> None:
    """Every CRD that is shipped has its origin written down, with the commit."""
    text = (ROOT / "deploy/schemas/SOURCES.txt").read_text()
    assert len(re.findall(r"^knative\S* [0-9a-f]{40} config/", text, re.M)) == 3
    for path in (ROOT / "deploy/schemas").glob("*.yaml"):
        short = path.stem.partition("-")[2]
        assert short in text, path.name


def test_nothing_secret_is_committed() -> None:
    """The example has no values, and git does not see the file that has."""
    place = ROOT / "deploy/components/shared-secret"
    assert re.findall(r"^\w+=(.*)$", (place / "door.env.example").read_text(), re.M) == ["", "", ""]
    assert "/door.env" in (place / ".gitignore").read_text().split()


def test_the_page_names_what_there_is() -> None:
    """docs/deploy.md names every overlay and component, and none that there is not; nor a NetworkPolicy."""
    text = DOCS.read_text()
    for kind in ("overlays", "components"):
        there = {path.name for path in (ROOT / "deploy" / kind).iterdir()}
        assert set(re.findall(rf"`{kind}/([\w-]+)`", text)) == there
    policies = {each.name for name in SITES for each in
                read(str(RENDERED / f"{name}.yaml")).of("networking.k8s.io", "NetworkPolicy")}  # fmt: skip
    assert set(re.findall(r"`(\w+-(?:in|out))`", text)) <= policies
