"""A mail server for tests, on aiosmtpd: it keeps what it gets as files and can be told to be difficult.

    mail.py serve DIR CERTIFICATE KEY STARTTLS_PORT TLS_PORT PLAIN_PORT
    mail.py sendmail DIR [ARGUMENT...]     the program of that name: the message comes on standard input

Each message becomes DIR/messages/*.json, parsed by Python's own library. Credentials come in MAIL_USER and
MAIL_PASSWORD; the port without TLS asks for none. DIR/behaviour says how recipients are met from now on:

    (nothing)   taken
    greylist    451 to the first attempt for each recipient since the file was written, then taken
    refuse      550
    hang        no answer until that changes
"""

import asyncio
import email
import email.policy
import json
import os
import pathlib
import secrets
import ssl
import sys
import time

directory = pathlib.Path(sys.argv[2])
messages = directory / "messages"


def keep(raw, **envelope):
    """Writes a message as a file that appears whole."""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    parts = {}
    defects = [repr(defect) for part in parsed.walk() for defect in part.defects]
    for kind in ("plain", "html"):
        body = parsed.get_body(preferencelist=(kind,))
        parts[kind] = body.get_content() if body is not None else ""
    for name, value in parsed.items():
        defects += [f"{name}: {defect!r}" for defect in getattr(value, "defects", ())]
    kept = {
        **envelope,
        "subject": str(parsed.get("Subject", "")),
        "headers": {name: [str(value) for value in parsed.get_all(name)] for name in parsed.keys()},
        "text": parts["plain"],
        "html": parts["html"],
        "raw": raw.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(),
        "defects": defects,
    }
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    fresh = messages / f"{name}.fresh"
    fresh.write_text(json.dumps(kept))
    fresh.rename(messages / f"{name}.json")


def behaviour():
    """What is to be done now, and since when."""
    file = directory / "behaviour"
    try:
        return file.read_text().strip(), file.stat().st_mtime_ns
    except FileNotFoundError:
        return "", 0


class Handler:
    def __init__(self, transport):
        self.transport = transport
        self.seen = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        mode, since = behaviour()
        while mode == "hang":
            await asyncio.sleep(0.1)
            mode, since = behaviour()
        if mode == "refuse":
            return "550 5.1.1 There is no such mailbox here"
        if mode == "greylist" and (address, since) not in self.seen:
            self.seen.add((address, since))
            return "451 4.7.1 Greylisted, please try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        keep(
            envelope.original_content,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            transport=self.transport,
            # Below TLS from the first byte, the session is not told of it.
            encrypted=session.ssl is not None or self.transport == "tls",
            user=session.auth_data.decode() if session.authenticated else "",
        )
        return "250 2.0.0 Kept"


async def serve(certificate, key, *ports):
    from aiosmtpd.smtp import SMTP, AuthResult

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    user, password = os.environb[b"MAIL_USER"], os.environb[b"MAIL_PASSWORD"]

    def authenticate(server, session, envelope, mechanism, data):
        if data.login == user and data.password == password:
            return AuthResult(success=True, auth_data=data.login)
        return AuthResult(success=False, handled=False)

    common = {"hostname": "mail.example.test", "ident": "tests", "enable_SMTPUTF8": True}
    guarded = {**common, "authenticator": authenticate, "auth_required": True}
    loop = asyncio.get_running_loop()
    starttls, tls, plain = (int(port) for port in ports)
    made = {
        "starttls": (starttls, None, {**guarded, "tls_context": context, "require_starttls": True}),
        # The encryption is below it, which it is not told.
        "tls": (tls, context, {**guarded, "auth_require_tls": False}),
        "plain": (plain, None, common),
    }
    servers = []
    for transport, (port, around, options) in made.items():
        handler = Handler(transport)
        servers.append(
            await loop.create_server(
                lambda handler=handler, options=options: SMTP(handler, loop=loop, **options), "127.0.0.1", port, ssl=around
            )
        )
    await asyncio.gather(*(server.serve_forever() for server in servers))


if sys.argv[1] == "sendmail":
    keep(sys.stdin.buffer.read(), sender="", recipients=sys.argv[3:], transport="sendmail", encrypted=False, user="")
else:
    asyncio.run(serve(*sys.argv[3:]))
