"""The files around the code: the image, the Compose files, the requirements, the package."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from ruamel.yaml import YAML

from pubsub.conf import SETTING_NAMES

PROJECT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def test_dockerfile_is_sound() -> None:
    """Hadolint reports no problem in the Dockerfile."""
    subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=PROJECT, check=True, timeout=60)


def test_image_has_neither_root_nor_build_tools() -> None:
    """The final stage runs as an unprivileged user and contains only what the server needs."""
    final = (PROJECT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", final, re.MULTILINE)
    copied = re.findall(r"^COPY (?:--from=build )?(\S+)", final, re.MULTILINE)
    assert copied == ["/venv", "manage.py", "chatroom_project/", "pubsub/"]
    assert "pip" not in final
    assert "/health" in final
    assert "curl" not in final


def test_compose_files_are_valid() -> None:
    """Both files match the schema of the Compose specification."""
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = ["docker-compose.yml", "docker-compose.prod.yml"]
    subprocess.run([*command, *files], cwd=PROJECT, check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/*.yml"),
    ],
)
def test_forge_files_are_valid(schema: str, files: str) -> None:
    """The workflow and the issue templates match the forge's schemas."""
    paths = list(PROJECT.glob(files))
    assert paths
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


def test_checks_are_the_same_everywhere() -> None:
    """The forge runs what `.ci/run` runs, and the commit hook is `make check`."""
    yaml = YAML(typ="safe")
    workflow = yaml.load(PROJECT / ".github/workflows/ci.yml")
    commands = [step["run"] for step in workflow["jobs"]["ci"]["steps"] if "run" in step]
    assert commands == [".ci/run"]
    (repository,) = yaml.load(PROJECT / ".pre-commit-config.yaml")["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make check"]
    assert "make check\n" in (PROJECT / ".ci/run").read_text()


def test_production_is_locked_down() -> None:
    """The production service is hardened, and every setting reaches the container.

    A setting is passed on by name alone: its default is stated in the code and nowhere else.
    """
    services = YAML(typ="safe").load(PROJECT / "docker-compose.prod.yml")["services"]
    service = services["chatroom"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] == "unless-stopped"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "healthcheck" not in service, "the image has one"
    environment = service["environment"]
    assert environment["DJANGO_SECRET_KEY"].startswith("${DJANGO_SECRET_KEY:?")
    settings = {name: value for name, value in environment.items() if name.startswith("CHATROOM_")}
    assert {f"CHATROOM_{name}" for name in SETTING_NAMES} <= set(settings)
    assert set(settings.values()) == {None}


@pytest.mark.parametrize("name", ["base", "bench", "dev", "newest", "oldest"])
def test_requirements_are_pinned(name: str) -> None:
    """Every requirement has an exact version and hashes, and no index address is recorded."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text()
    requirements = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE))
    for requirement in filter(str.strip, requirements):
        assert re.match(r"[a-z0-9.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement
    assert "://" not in text


def test_node_packages_are_pinned() -> None:
    """Each Node.js package has a hash, and no registry address is recorded."""
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


@pytest.mark.parametrize("name", ["base", "bench", "dev", "newest", "oldest"])
def test_requirements_match_the_declared_ranges(name: str) -> None:
    """The pins are within the ranges of pyproject.toml, and the oldest are their lower bounds."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"]):
        version = Version(pins[requirement.name])
        assert version in requirement.specifier, requirement
        if name == "oldest":
            (lowest,) = [part.version for part in requirement.specifier if part.operator == ">="]
            assert version == Version(lowest), requirement


def test_build_script_is_shell() -> None:
    """The build script has valid syntax and is executable."""
    script = PROJECT / "build.sh"
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    assert script.stat().st_mode & 0o111


def test_wheel_has_everything(tmp_path: Path) -> None:
    """The wheel contains every file of the package, including templates and static files."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", tmp_path], cwd=PROJECT, check=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(PROJECT)) for path in (PROJECT / "pubsub").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} <= packed
    assert "pubsub/console/static/pubsub/console/chatroom.js" in packed
