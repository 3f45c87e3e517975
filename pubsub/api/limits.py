"""The rate of publications over REST."""

from pubsub.protocol.errors import RateLimited
from pubsub.runtime import get_runtime


class TooManyPublications(RateLimited):
    """An asker publishes more than ``rest_rate_limit`` messages a second.

    ``retry_after`` is the number of whole seconds after which it may try again.
    """

    def __init__(self, retry_after: int) -> None:
        limit = get_runtime().config.rest_rate_limit
        super().__init__(f"more than {limit:g} publications a second")
        self.retry_after = retry_after


def count_publication(asker: str) -> None:
    """Count one publication of an asker; see `Asker.bucket`.

    Raises:
        TooManyPublications: The asker has published too much lately.
    """
    rates = get_runtime().rest_rates
    if rates is not None and (seconds := rates.wait(asker)):
        raise TooManyPublications(seconds)
