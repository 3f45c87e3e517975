"""The endpoint for Prometheus."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

import pubsub
from pubsub.api.access import check_operator
from pubsub.api.errors import on_access_error
from pubsub.api.requests import get_broker
from pubsub.auth.errors import AccessError
from pubsub.metrics import Scrape
from pubsub.protocol.errors import Unavailable, error_code
from pubsub.responses import error_response
from pubsub.runtime import get_runtime


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of this process, in the format that the client prefers."""
    try:
        check_operator(request)
        get_broker(request)
    except AccessError as error:
        return on_access_error(request, error)
    except Unavailable as error:
        return error_response(error_code(error), str(error))
    scrape = Scrape(get_runtime(), version=pubsub.__version__)
    await scrape.look()
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(scrape), content_type=content_type)
