-- Each request has a bare `transit/sign` sign another digest.
local seed, token = nil, nil
local count = 0

function init(args)
  seed, token = args[1], args[2]
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Vault-Token"] = token
end

function request()
  count = count + 1
  -- Base64 of 32 bytes.
  local digest = string.format("%s%010dA=", seed, count)
  return wrk.format(nil, nil, nil, '{"input":"' .. digest .. '","prehashed":true,"marshaling_algorithm":"asn1"}')
end
