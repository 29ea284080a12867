"""Tells which access token Synapse finds in raw requests. Reads one base64 of a request a line, and writes one
JSON a line: {"token": ...}, {"none": reason}, or {"refused": reason} if no handler ever sees the request."""

import base64
import inspect
import json
import logging
import sys

from synapse.api.auth.base import BaseAuth
from synapse.api.errors import MissingClientTokenError
from synapse.http.site import SynapseRequest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site

logging.disable(logging.CRITICAL)


# Synapse's own site makes its requests with the defaults of Twisted's.
site = Site(Resource())
site.site_tag = "test"

outcome = {}


class Reading(SynapseRequest):
    """A request that is not handled: it only says what it holds."""

    def process(self):
        if not BaseAuth.has_access_token(self):
            outcome["none"] = "has_access_token is false"
            return
        try:
            outcome["token"] = BaseAuth.get_access_token_from_request(self)
        except (MissingClientTokenError, UnicodeDecodeError) as e:
            outcome["none"] = str(e)


def request(channel, queued=None):
    args = [channel, site]
    if "our_server_name" in inspect.signature(SynapseRequest.__init__).parameters:
        args.append("example.test")
    return Reading(*args, max_request_body_size=50_000_000)


def read(raw):
    outcome.clear()
    channel = HTTPChannel()
    channel.requestFactory = request
    channel.site = channel.factory = site
    channel.timeOut = None
    transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 1))
    channel.makeConnection(transport)
    try:
        channel.dataReceived(raw)
    except Exception as e:  # Twisted closes the connection then
        return {"refused": repr(e)}
    return dict(outcome) or {"refused": transport.value()[:40].decode("latin-1")}


for line in sys.stdin:
    print(json.dumps(read(base64.b64decode(line))), flush=True)
