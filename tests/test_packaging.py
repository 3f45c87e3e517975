"""What surrounds the code: the image, the compose files, the requirements."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pubsub.conf import SETTING_NAMES

PROJECT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def test_dockerfile_is_sound() -> None:
    """Hadolint has nothing to say about it."""
    subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=PROJECT, check=True, timeout=60)


def test_image_has_neither_root_nor_build_tools() -> None:
    """The final stage runs as a user, and copies just what the server needs."""
    final = (PROJECT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", final, re.MULTILINE)
    copied = re.findall(r"^COPY (?:--from=build )?(\S+)", final, re.MULTILINE)
    assert copied == ["/venv", "manage.py", "chatroom_project/", "pubsub/"]
    assert "pip" not in final
    assert "/health" in final
    assert "curl" not in final


def test_compose_files_are_valid() -> None:
    """Against the schema of the Compose specification."""
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = ["docker-compose.yml", "docker-compose.prod.yml"]
    subprocess.run([*command, *files], cwd=PROJECT, check=True, timeout=60, capture_output=True)


def test_production_is_locked_down() -> None:
    """What the file promises in its settings; every setting can be set."""
    services = YAML(typ="safe").load(PROJECT / "docker-compose.prod.yml")["services"]
    service = services["chatroom"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] == "unless-stopped"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "/health" in str(service["healthcheck"]["test"])
    environment = service["environment"]
    assert environment["DJANGO_SECRET_KEY"].startswith("${DJANGO_SECRET_KEY:?")
    assert {f"CHATROOM_{name}" for name in SETTING_NAMES} <= set(environment)


@pytest.mark.parametrize("name", ["base", "bench", "dev"])
def test_requirements_are_pinned(name: str) -> None:
    """Each with its hash, and without the address of an index."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text()
    requirements = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE))
    for requirement in filter(str.strip, requirements):
        assert re.match(r"[a-z0-9.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement
    assert "://" not in text


def test_node_packages_are_pinned() -> None:
    """Each Node.js package has its hash, and none has the address of a registry."""
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def test_build_script_is_shell() -> None:
    """It parses, and can be executed."""
    script = PROJECT / "build.sh"
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    assert script.stat().st_mode & 0o111


def test_wheel_has_everything(tmp_path: Path) -> None:
    """All files of the package, the page's templates and static files among them."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", tmp_path], cwd=PROJECT, check=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(PROJECT)) for path in (PROJECT / "pubsub").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} <= packed
    assert "pubsub/console/static/pubsub/console/chatroom.js" in packed
