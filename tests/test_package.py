"""What `import pubsub` offers to ordinary Django code."""

import subprocess
import sys
from pathlib import Path

import pubsub
from pubsub.core import errors

PROJECT = Path(__file__).parents[1]


def test_errors_of_publish() -> None:
    """The errors that `publish` documents can be imported from `pubsub`."""
    for name in ("TopicNotFound", "InvalidTopicName", "BrokerNotRunning"):
        assert f"pubsub.{name}" in pubsub.publish.__doc__
        assert getattr(pubsub, name) is getattr(errors, name)
        assert issubclass(getattr(pubsub, name), pubsub.PubSubError)


def test_import_without_django() -> None:
    """Importing the package neither needs nor imports Django."""
    code = "import pubsub, sys; pubsub.TopicNotFound; sys.exit('django' in sys.modules)"
    environment = {"PYTHONPATH": str(PROJECT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
