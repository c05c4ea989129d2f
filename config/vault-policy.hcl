# What Signet may do in Vault, for the key `release` of the transit engine at `transit/` and the log's own key `signet-log`
# there, and nothing else.
#
#   vault policy write signet config/vault-policy.hcl
#   vault write auth/approle/role/signet token_policies=signet token_no_default_policy=true token_ttl=1h
#
# Repeat the blocks of `release` for each key that the configuration names. The default policy is not needed.

# Sign SHA-256 digests, with a key of any ECDSA or RSA type. The path ends in the hash because Vault lets it outrank the
# one in the body: so it is pinned here. Where the key's `hash` in the configuration is another, name that one. What stands
# in the lists is all that a body may say, and the required parameters keep out the forms of the call that Signet does
# not use: without the `signature_algorithm` an RSA key would sign with PSS, which verifiers do not expect.
path "transit/sign/release/sha2-256" {
  capabilities        = ["update"]
  required_parameters = ["prehashed", "signature_algorithm", "batch_input"]
  allowed_parameters = {
    "prehashed"            = [true]
    "marshaling_algorithm" = ["asn1"]
    "signature_algorithm"  = ["pkcs1v15"]
    "key_version"          = []
    "batch_input"          = []
  }
}

# A key of type ed25519 signs whole messages, and hashes them by itself: for such a key, put this in place of the block above.
#
# path "transit/sign/release" {
#   capabilities        = ["update"]
#   required_parameters = ["prehashed", "batch_input"]
#   allowed_parameters = {
#     "prehashed"   = [false]
#     "key_version" = []
#     "batch_input" = []
#   }
# }

# Read which versions there are, and their public keys. Private keys never come with this answer.
path "transit/keys/release" {
  capabilities = ["read"]
}

# Sign the log's checkpoints with the log's own key (`log.checkpoint_key`), of type ed25519, and read its public keys.
path "transit/sign/signet-log" {
  capabilities        = ["update"]
  required_parameters = ["prehashed", "batch_input"]
  allowed_parameters = {
    "prehashed"   = [false]
    "key_version" = []
    "batch_input" = []
  }
}
path "transit/keys/signet-log" {
  capabilities = ["read"]
}

# Keep the log's newest checkpoint, where `[log.anchor]` is of the kind "vault": KV version 2 at `secret/`.
#
# path "secret/data/signet/log-anchor" {
#   capabilities = ["create", "read", "update"]
# }

# Ask whether our own token is still good: for /readyz, and to tell a dead token from one that may not do something.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

# Renew our own token. Without it, Signet logs in anew instead; with the method "token" and a file, nobody needs it but
# the Vault Agent.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
