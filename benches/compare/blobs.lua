-- Each request has another digest signed, with the next of the jobs' tokens.
local seed = nil
local tokens = {}
local count = 0

function init(args)
  seed = args[1]
  for line in io.lines(args[2]) do
    tokens[#tokens + 1] = "Bearer " .. line
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  count = count + 1
  wrk.headers["Authorization"] = tokens[count % #tokens + 1]
  -- SHA-256, in hexadecimal digits.
  return wrk.format(nil, nil, nil, string.format('{"digest":"sha256:%s%032x","key":"release"}', seed, count))
end
