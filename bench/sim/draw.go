package sim

import (
	"math"
	"time"
)

// Service times: log-normal with this mean and shape; a stalled one takes 10 to
// 50 times as long.
const (
	meanService = 5 * time.Millisecond
	sigma       = 0.5
	stallLeast  = 10
	stallMost   = 50
)

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// stream is a source of uniform numbers from a key.
type stream uint64

// draws returns the stream of a key.
func draws(key ...uint64) stream {
	var s uint64
	for _, k := range key {
		s = mix(s ^ mix(k))
	}
	return stream(s)
}

// uniform returns the next number between 0 and 1, both excluded.
func (s *stream) uniform() float64 {
	*s = stream(mix(uint64(*s)))
	return (float64(uint64(*s)>>11) + 0.5) / (1 << 53)
}

// normal returns a standard normal number (Box and Muller, 1958).
func (s *stream) normal() float64 {
	return math.Sqrt(-2*math.Log(s.uniform())) * math.Cos(2*math.Pi*s.uniform())
}

// exponential returns a wait with a mean.
func (s *stream) exponential(mean time.Duration) time.Duration {
	return time.Duration(-math.Log(s.uniform()) * float64(mean))
}

// service returns a service time that stalls with probability stall.
func (s *stream) service(stall float64) time.Duration {
	ms := float64(meanService) * math.Exp(sigma*s.normal()-sigma*sigma/2)
	if s.uniform() < stall {
		ms *= stallLeast + s.uniform()*(stallMost-stallLeast)
	}
	return time.Duration(ms)
}

// meanWith is the mean service time where a share stalls.
func meanWith(stall float64) time.Duration {
	return time.Duration(float64(meanService) * (1 + stall*((stallLeast+stallMost)/2-1)))
}
