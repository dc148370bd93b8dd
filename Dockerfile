# Parley in a container: built on Debian 12, run on Debian 12 slim as a user without rights. Everything it keeps is in /data.
#
#     docker build -t parley .
#     docker run -p 8080:8080 -v parley:/data parley

FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev libcurl4-openssl-dev libexpat1-dev libhiredis-dev libjansson-dev libmariadb-dev libmicrohttpd-dev \
        libsqlite3-dev libssl-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The history is not copied, so the version is told: docker build --build-arg VERSION="$(git describe --tags --always)" .
ARG VERSION=unknown
RUN make build VERSION="$VERSION" && strip build/parley

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libcurl4 libexpat1 libhiredis0.14 libjansson4 \
        libmariadb3 libmicrohttpd12 libsqlite3-0 libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin parley \
    && install -d -m 0700 -o parley -g parley /data
COPY --from=build /src/build/parley /usr/local/bin/parley
ENV PARLEY_LISTEN=0.0.0.0:8080 PARLEY_DATA_DIR=/data
# By number, so that those who run it can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# bash opens the connection itself, so that no client has to be installed for it. It asks where PARLEY_LISTEN says.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["bash", "-c", \
    "exec 3<>\"/dev/tcp/127.0.0.1/${PARLEY_LISTEN##*:}\" && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["parley"]
CMD ["serve"]
