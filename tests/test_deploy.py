"""What `deploy/` and the guides say fits the program: settings that there are, addresses that it serves, files that suffice."""

import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest
import yaml

from assistant.chat import Assistant
from assistant.settings import Settings
from eval.bench import free_port
from tests.cluster import replica, running
from tests.conftest import ROOT, Writer

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
    assert "index:/data:ro" in services["app-2"]["volumes"] and "index:/data" in services["publish"]["volumes"]
    assert environment["HMS_INDEX"] == image()["HMS_INDEX"]
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


def image() -> dict[str, str]:
    """The settings that the image begins with."""
    lines = re.findall(r"^ENV (.*)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return {name: value for name, _, value in (each.partition("=") for line in lines for each in line.split())}


def copied() -> list[str]:
    """What the image takes of the project."""
    return re.findall(r"^COPY (\S+)", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)


def test_the_image_copies_what_is_there_and_runs_as_nobody_in_particular() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert all((ROOT / name).exists() for name in copied())
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split() if line.startswith("!")}
    assert set(copied()) == let_in
    assert text.index("USER 1000") < text.index('CMD ["python", "app.py"]')


def test_a_container_answers_from_its_own_files_and_keeps_all_on_its_volume(content: Writer, tmp_path: Path) -> None:
    (volume,) = re.findall(r"^VOLUME (\S+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    place, data = tmp_path / "app", tmp_path / "data"
    for name in copied():
        take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        take(ROOT / name, place / name)
    index = data / Path(image()["HMS_INDEX"]).relative_to(volume)
    told = {"HMS_INDEX": str(index), "HMS_CONTENT": str(content({"port/index.md": "Porten låses klokken 18."}))}
    app = replace(replica(tmp_path, free_port(), told), whose={"cwd": place})
    with running(app):
        answer = httpx.post(f"{app.url}/api/ask", json={"question": "Når låses porten?"}, timeout=30, trust_env=False).json()
        kept = httpx.get(f"{app.url}/api/answers/{answer['id']}", trust_env=False)
    assert "klokken 18" in answer["answer"] and kept.json()["answer"]["question"] == "Når låses porten?"
    assert {each.name.partition("-")[0] for each in data.iterdir()} == {index.name}
    assert [each.name for each in data.iterdir() if each.suffix == ".sqlite"] == [f"{index.name}-answers.sqlite"]


def test_what_the_guide_has_alarms_on_is_told(assistant: Assistant) -> None:
    assistant.tally.requests.labels("/api/ask", 200)
    told = set(re.findall(r"^# TYPE (hms_\w+)", assistant.figures().decode(), re.MULTILINE))
    for guide in ("operate", "scale"):
        named = set(re.findall(r"\bhms_[a-z_]+", (ROOT / "docs" / f"{guide}.md").read_text("utf-8")))
        assert named and {re.sub(r"_bucket$", "", name) for name in named} <= told
