# Signet in an image without a shell, as a user without rights, on a file system that can be read-only: only
# /var/lib/signet, where the signing log is, has to be writable.
#
#   docker build -t signet .
#   docker run --read-only --cap-drop ALL -v ./config:/etc/signet:ro -v signet-data:/var/lib/signet signet

# Debian 12 as in the image that it runs in, so that both have the same C library.
FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin signet \
 && install -D target/release/signet /out/signet \
 && install -d /out/data/signet

# The C library and the roots of the public certificate authorities, and nothing else.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY LICENSE /usr/share/doc/signet/LICENSE
COPY --from=build /out/signet /usr/local/bin/signet
# A volume that is mounted here for the first time takes its owner over.
COPY --from=build --chown=65532:65532 /out/data /var/lib
ENV SIGNET_CONFIG=/etc/signet/signet.toml
USER 65532:65532
EXPOSE 8080 9090
VOLUME /var/lib/signet
# Signet drains on SIGTERM, which is what `docker stop` sends. Give it longer than twice
# `limits.request_timeout`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/usr/local/bin/signet", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/signet"]
CMD ["serve"]
