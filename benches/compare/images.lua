-- Each request has the next image of a file signed, and after the last the first again.
local images = {}
local count = 0

function init(args)
  for line in io.lines(args[1]) do
    images[#images + 1] = '{"image":"' .. line .. '","key":"release","format":"cosign"}'
  end
  read_tokens(args[2])
end

function request()
  count = count + 1
  return of_job(count, images[(count - 1) % #images + 1])
end
