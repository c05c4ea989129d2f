-- Each request has the next image of a file signed, and after the last the first again.
local images, tokens = {}, {}
local count = 0

function init(args)
  for line in io.lines(args[1]) do
    images[#images + 1] = '{"image":"' .. line .. '","key":"release","format":"cosign"}'
  end
  for line in io.lines(args[2]) do
    tokens[#tokens + 1] = "Bearer " .. line
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  count = count + 1
  wrk.headers["Authorization"] = tokens[count % #tokens + 1]
  return wrk.format(nil, nil, nil, images[(count - 1) % #images + 1])
end
