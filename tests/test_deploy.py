"""What `deploy/` says fits the program: settings that there are, addresses that it serves, files that exist."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from assistant.settings import Settings
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = {f"HMS_{each.name.upper()}" for each in fields(Settings)}


@pytest.mark.parametrize("file", [file for file in sorted(DEPLOY.iterdir()) if file.is_file()], ids=lambda file: str(file.name))
def test_settings_named_in_deploy_are_settings(file: Path) -> None:
    assert set(re.findall(r"\bHMS_[A-Z_]+\b", file.read_text("utf-8"))) <= SETTINGS


def test_the_compose_file_has_what_nginx_and_the_replicas_name() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    services, environment = compose["services"], compose["services"]["app-1"]["environment"]
    upstreams = set(re.findall(r"server ([\w-]+):7860", (DEPLOY / "nginx.conf").read_text("utf-8")))
    assert upstreams == {name for name in services if name.startswith("app-")}
    named = {match for value in environment.values() for match in re.findall(r"(?://|@)([a-z][\w-]*)[:/]", str(value))}
    assert {"chroma", "redis", "postgres"} <= named & services.keys()
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert "index:/index:ro" in services["app-2"]["volumes"] and "index:/index" in services["publish"]["volumes"]
    assert services["chroma"]["image"].endswith(pinned("chromadb"))


def pinned(package: str) -> str:
    """The version that the lock file has."""
    found = re.search(rf"^{package}==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def test_the_kubernetes_example_probes_addresses_that_there_are_and_mounts_what_it_claims() -> None:
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
    kinds = [part["kind"] for part in parts]
    assert {"Deployment", "Service", "PersistentVolumeClaim", "CronJob", "StatefulSet", "Ingress"} <= set(kinds)
    claims = {part["metadata"]["name"] for part in parts if part["kind"] == "PersistentVolumeClaim"}
    text = (DEPLOY / "kubernetes.yaml").read_text("utf-8")
    assert set(re.findall(r"claimName: ([\w-]+)", text)) == claims
    pod = next(part for part in parts if part["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/api/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/api/health"
    assert container["volumeMounts"] == [{"name": "index", "mountPath": "/index", "readOnly": True}]
    assert f"chromadb/chroma:{pinned('chromadb')}" in text


def test_the_image_copies_what_is_there_and_runs_as_nobody_in_particular() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY")]
    assert all((ROOT / name).exists() for name in copied)
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split() if line.startswith("!")}
    assert set(copied) == let_in
    assert text.index("USER 1000") < text.index('CMD ["python", "app.py"]')
