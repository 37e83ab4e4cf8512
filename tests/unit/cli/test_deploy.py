"""`drover deploy check`: silent on what is shipped, and it finds each mistake that a person may make."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import yaml

from cli.deploy.checks import examine
from cli.deploy.manifests import Manifest, Unusable, parse, read
from cli.deploy.routes import sender_of
from tests.unit.cli.conftest import Run
from tests.unit.cli.deployments import PLANTED, RENDERED, SITES, Site, read_site


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings do not count, and are the same afterwards."""
    monkeypatch.setenv("DROVER_LOG_LEVEL", "nonsense")


@pytest.mark.parametrize("name", SITES)
def test_it_is_silent_on_what_is_shipped(name: str, unset: None) -> None:
    """Every overlay with every door that goes with it has no problem."""
    report = Site(name).examine()
    assert [str(problem) for problem in report.problems] == []
    assert report.unchecked == ()
    assert report.objects > 20


@pytest.mark.parametrize("mistake", PLANTED)
def test_it_finds_each_mistake(mistake: str, unset: None) -> None:
    """What would break is named with its object and field, what was found or expected, and what to do."""
    name, change, place, words = PLANTED[mistake]
    site = Site(name)
    change(site)
    found = [str(problem) for problem in site.examine().problems]
    assert any(place in line and words in line for line in found), found
    assert all(problem.todo and problem.expected for problem in site.examine().problems)


def test_a_plain_secret_is_not_repeated() -> None:
    """The check does not put a password on the screen, or into a log of the CI, once more."""
    site = Site("postgres-shared-secret")
    site.env("DROVER_DATABASE_URL", value="postgresql://drover:hunter2@db/drover")
    site.env("DROVER_DOOR_SECRET", value="hunter2")
    assert "hunter2" not in json.dumps(site.examine().document())


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("sqlite-shared-secret", {"persistent-volume-claim", "persistent-volume-write", "podspec-securitycontext"}),
        ("postgres-oidc", {"authentication-oidc", "Secret drover-database with url", "Secret drover-clouds"}),
        ("rabbitmq-broker-shared-secret", {"Secret drover-rabbitmq", "Secret drover-clouds"}),
    ],
)
def test_it_says_what_the_cluster_must_have(name: str, needs: set[str]) -> None:
    """Feature flags and Secrets that manifests can't bring are listed, and are no problems."""
    report = Site(name).examine()
    assert report.problems == ()
    assert {need for need in needs if any(need in line for line in report.needs)} == needs


def test_a_secret_may_be_said_to_be_made_elsewhere(run: Run, tmp_path: Path) -> None:
    """`--external` does what the annotation does."""
    site = Site("postgres-shared-secret")
    site.get("Namespace", "drover")["metadata"].pop("annotations")
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump_all(site.bodies))
    assert run("deploy", "check", str(path)).code == 1
    assert run("deploy", "check", str(path), "--external", "drover-database", "--external", "drover-clouds").code == 0


@pytest.mark.parametrize(
    ("trigger", "account"),
    [
        ("migrate-tick", "migrate-tick-oidc-eventing.knative.dev-trigger"),
        ("a-trigger-with-29-characters-", "a-trigger-with-29-characters--oidc-eventing.knative.dev-trigger"),
        ("a-trigger-with-30-characters-x", "a-trigger-with-30-characters-x341a5e4681538f7fefbf9ca0e33b7da9"),
        (
            "a-trigger-with-many-more-characters-than-that",
            "a-trigger-with-many-more-charac6e917237102a5da6e9dc6e46a3af3c5b",
        ),
    ],
)
def test_the_sender_is_named_as_knative_does(trigger: str, account: str) -> None:
    """The service account has the Trigger's name and kind, or a digest when that is too long (kmeta.ChildName)."""
    body = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": trigger, "namespace": "ops"},
    }
    assert sender_of(Manifest(body, "x")) == f"system:serviceaccount:ops:{account}"


def test_exit_codes_and_json(run: Run, tmp_path: Path) -> None:
    """0 and an empty list when nothing would break, 1 and the problems otherwise; stdout has nothing else."""
    good = run("deploy", "check", str(RENDERED / "postgres-shared-secret.yaml"), "--json")
    assert (good.code, good.json["problems"]) == (0, [])
    site = Site("postgres-shared-secret")
    site.drop("PingSource", "cleanup")
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump_all(site.bodies))
    bad = run("deploy", "check", str(path), "--json")
    assert bad.code == 1
    (problem,) = bad.json["problems"]
    assert problem["file"] == str(path)
    assert problem["object"] == "Trigger keeper"
    assert set(problem) == {"file", "object", "field", "found", "expected", "todo"}


def test_a_person_reads_lines(run: Run, tmp_path: Path) -> None:
    """Problems go to stdout, one a line; what the cluster needs and the count go to stderr."""
    site = Site("sqlite-shared-secret")
    site.container().update(image="drover")
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump_all(site.bodies))
    outcome = run("deploy", "check", str(path))
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 1
    assert "needs: Secret drover-clouds" in outcome.err
    assert "1 problem" in outcome.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no YAML"),
        ("", "has no objects"),
        ("- 1", "no object of Kubernetes"),
        ("apiVersion: v1\nkind: Pod\n", "expected apiVersion, kind and metadata.name"),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n",
            "has to be rendered",
        ),
    ],
)
def test_unusable_input(text: str, words: str) -> None:
    """What is no manifest is refused with what it is and what was expected."""
    with pytest.raises(Unusable, match=words):
        parse(text, "site.yaml")


def test_unusable_places(run: Run, tmp_path: Path) -> None:
    """No file, and a directory without a kustomization: exit code 2."""
    for path in (tmp_path / "none.yaml", tmp_path):
        outcome = run("deploy", "check", str(path))
        assert outcome.code == 2
        assert outcome.out == ""
        assert "drover: " in outcome.err


def test_nothing_to_render_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without kubectl and kustomize the message says what to do instead."""
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match=r"neither kubectl nor kustomize.*rendered\.yaml"):
        read(str(tmp_path))


def test_what_kustomize_says_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rendering that fails is shown with kustomize's own words, and where the door's keys come from."""
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\necho 'open door.env: no such file' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Unusable, match=r"(?s)open door\.env: no such file.*docs/deploy\.md"):
        read(str(tmp_path))


def test_stdin_isread_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """`drover deploy check -` takes what kubectl kustomize prints."""
    monkeypatch.setattr("sys.stdin", StringIO((RENDERED / "postgres-oidc.yaml").read_text()))
    report = examine(read("-"))
    assert (report.problems, report.objects) == ((), len(read_site("postgres-oidc")))


@pytest.mark.parametrize("words", [(), ("check",)])
def test_help_says_what_the_exit_codes_mean(run: Run, words: tuple[str, ...]) -> None:
    """The help is there; that of `check` has the exit codes."""
    outcome = run("deploy", *words, "--help")
    assert outcome.code == 0
    assert not words or "1 problems were found" in " ".join(outcome.out.split())


def test_an_unknown_kind_is_said_to_be_unchecked() -> None:
    """What has no schema is named, so that silence is not taken for approval."""
    site = Site("postgres-shared-secret")
    site.bodies.append({"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "drover"}})
    report = site.examine()
    assert (report.problems, report.unchecked) == ((), ("PodMonitor drover",))
