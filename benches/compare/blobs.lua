-- Each request has another digest signed.
local seed = nil
local count = 0

function init(args)
  seed = args[1]
  read_tokens(args[2])
end

function request()
  count = count + 1
  -- SHA-256, in hexadecimal digits.
  return of_job(count, string.format('{"digest":"sha256:%s%032x","key":"release"}', seed, count))
end
