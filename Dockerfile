# Caddy with this module, for those who keep their homeserver in containers. docs/running.md says how to use it, and
# what has been tried of it.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
# What "caddy matrix-auth version" will say; without it, what git says of the checkout.
ARG MATRIX_AUTH_VERSION=
# The image has gcc, which SQLite needs.
RUN ./xcaddy.sh -o /caddy

FROM debian:bookworm-slim
# Certificate authorities for what Caddy asks on the web, curl for the health check.
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates curl \
	&& rm -rf /var/lib/apt/lists/*
# Ids of its own, so that files on volumes are nobody else's. The folders are there before the volumes are, which take
# over owner and mode.
RUN groupadd --system --gid 10001 caddy \
	&& useradd --system --uid 10001 --gid caddy --home-dir /data --no-create-home --shell /usr/sbin/nologin caddy \
	&& install -d -m 700 -o caddy -g caddy /data /config \
	&& install -d -m 755 /etc/caddy
COPY --from=build /caddy /usr/bin/caddy
# A build without cgo, or for another system, ends here and not on the owner's server.
RUN caddy matrix-auth version
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
VOLUME ["/data", "/config"]
EXPOSE 80 443 443/udp
USER 10001:10001
WORKDIR /data
# The listener for Synapse answers it, on whichever of the container's addresses it is.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["curl", "--fail", "--silent", "--show-error", "--max-time", "4", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
