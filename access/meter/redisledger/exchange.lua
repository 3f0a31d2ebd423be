-- Tells what a meter has used of an account, and returns what all meters have.
-- KEYS: the rate, the day and the month of the account.
-- ARGV: the meter's name; its tokens and cost of the day, and of the month; the rate's refill by the second and the most it
-- holds, of requests and of tokens; how much of both was taken.
-- Returns tokens and cost of the day and of the month, and what is left of the rate, as text, since Redis cuts numbers to integers.
local out = {}
for i, days in ipairs({3, 63}) do
	local key, tokens, cost = KEYS[1 + i], ARGV[2 * i], ARGV[2 * i + 1]
	if tonumber(tokens) ~= 0 or tonumber(cost) ~= 0 then
		redis.call('HSET', key, 't:' .. ARGV[1], tokens, 'c:' .. ARGV[1], cost)
		redis.call('EXPIRE', key, days * 86400)
	end
	local sum, all = {['t:'] = 0, ['c:'] = 0}, redis.call('HGETALL', key)
	for k = 1, #all, 2 do
		local what = string.sub(all[k], 1, 2)
		sum[what] = sum[what] + tonumber(all[k + 1])
	end
	out[2 * i - 1], out[2 * i] = string.format('%.0f', sum['t:']), string.format('%.17g', sum['c:'])
end
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local have = redis.call('HMGET', KEYS[1], '1', '2', 'at')
local passed, level = math.max(0, now - (tonumber(have[3]) or now)), {}
for i = 1, 2 do
	local rate, most, took = tonumber(ARGV[4 + 2 * i]), math.max(1, tonumber(ARGV[5 + 2 * i])), tonumber(ARGV[9 + i])
	level[i] = math.min(most, (tonumber(have[i]) or most) + rate * passed) - took
	out[4 + i] = string.format('%.6f', level[i])
end
if tonumber(ARGV[6]) > 0 or tonumber(ARGV[8]) > 0 then
	redis.call('HSET', KEYS[1], '1', out[5], '2', out[6], 'at', string.format('%.6f', now))
	redis.call('EXPIRE', KEYS[1], 3600)
end
return out
