-- Requests to Signet, each with the next of the jobs' tokens.
local tokens = {}

-- One token a line.
local function read_tokens(path)
  for line in io.lines(path) do
    tokens[#tokens + 1] = "Bearer " .. line
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

local function of_job(number, body)
  wrk.headers["Authorization"] = tokens[number % #tokens + 1]
  return wrk.format(nil, nil, nil, body)
end

