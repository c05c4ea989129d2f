#!/bin/sh
# What an operator does once in a real Vault, for docker-compose.yml: the transit engine, the key, the policy, and a
# token for Signet. It may run again: what is there already stays.
set -eu

say() { printf '%s\n' "vault-setup: $*"; }

if vault secrets list -format=json | grep -q '"transit/"'; then
  say "the transit engine is there"
else
  vault secrets enable transit
fi
vault write -f transit/keys/release type=ecdsa-p256 >/dev/null
say "the key release is there"
vault write -f transit/keys/signet-log type=ed25519 >/dev/null
say "the log's own key signet-log is there"

# Shows our batch ids in Vault's audit log, for whoever switches that on.
vault write sys/config/auditing/request-headers/X-Signet-Batch-Id hmac=false >/dev/null

vault policy write signet /setup/vault-policy.hcl

# Signet does not renew a token that comes in a file. This one holds for 32 days; `docker compose up` makes a new one.
umask 077
vault token create -orphan -no-default-policy -policy=signet -period=768h -field=token >/vault-token/token.new
# Signet runs as this user, and reads the file again when it changes.
chmod 0400 /vault-token/token.new
chown 65532:65532 /vault-token/token.new
mv -f /vault-token/token.new /vault-token/token
say "the token is in place"
