"""What a person's own kustomization makes of each overlay and component, kept for machines without kubectl.

python tests/manifests/rendering.py     write tests/manifests/rendered/ anew, which needs kubectl or kustomize
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
RENDERED = Path(__file__).with_name("rendered")

SITES = {
    "sqlite-shared-secret": ("sqlite", "shared-secret"),
    "sqlite-oidc": ("sqlite", "oidc"),
    "postgres-shared-secret": ("postgres", "shared-secret", "disruption-budget"),
    "postgres-oidc": ("postgres", "oidc"),
    "rabbitmq-broker-shared-secret": ("rabbitmq-broker", "shared-secret"),
}
"""Overlay and components of each deployment that docs/deploy.md speaks of; eventing-rabbitmq knows no OIDC."""

KEYS: Mapping[str, str] = {name: f"only-for-tests-{name}-0123456789abcdef" for name in ("secret", "tick", "metrics")}


def site(directory: Path, overlay: str, *components: str) -> Path:
    """A copy of deploy/ with a site of its own in it, as docs/deploy.md says to make one."""
    shutil.copytree(ROOT / "deploy", directory / "deploy", ignore=shutil.ignore_patterns("schemas", "door.env"))
    keys = "".join(f"{name}={key}\n" for name, key in KEYS.items())
    (directory / "deploy/components/shared-secret/door.env").write_text(keys)
    place = directory / "deploy/site"
    place.mkdir()
    (place / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        f"resources: [../overlays/{overlay}]\n"
        f"components: [{', '.join(f'../components/{each}' for each in components)}]\n"
        "images:\n  - {name: drover, newName: registry.example.org/ops/drover, newTag: 0.1.0}\n"
        "configMapGenerator:\n  - {name: drover-settings, behavior: merge, literals: [DROVER_CLOUD=paris]}\n"
    )
    return place


def main() -> None:
    """Write all of them."""
    from cli.deploy.manifests import render

    RENDERED.mkdir(exist_ok=True)
    for name, parts in SITES.items():
        with tempfile.TemporaryDirectory() as directory:
            (RENDERED / f"{name}.yaml").write_text(render(site(Path(directory), *parts)))


if __name__ == "__main__":
    main()
