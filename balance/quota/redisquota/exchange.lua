-- Exchanges a lease of a quota of two dimensions, requests and tokens.
-- KEYS[1]: a hash with the levels r and t at time at (seconds, of this server).
-- ARGV: refill by the second (r, t), most that is held (r, t), given back (r, t), wanted (r, t).
-- Returns what is granted (r, t), as text, since Redis cuts numbers to integers.
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local have = redis.call('HMGET', KEYS[1], 'r', 't', 'at')
local passed = math.max(0, now - (tonumber(have[3]) or now))
local granted, level = {}, {}
for i = 1, 2 do
	local rate, most = tonumber(ARGV[i]), math.max(1, tonumber(ARGV[2 + i]))
	local given, want = tonumber(ARGV[4 + i]), tonumber(ARGV[6 + i])
	local held = math.min(most, (tonumber(have[i]) or most) + rate * passed + given)
	local grant = math.max(0, math.min(want, held))
	if rate == 0 then grant = 0 end
	level[i] = held - grant
	granted[i] = string.format('%.6f', grant)
end
redis.call('HSET', KEYS[1], 'r', level[1], 't', level[2], 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 3600)
return granted
