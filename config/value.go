package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Secret is a text that is never printed: it formats and encodes as "****".
type Secret string

const masked = "****"

// String returns "****", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString returns what String does.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText returns what String does.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Size is a number of bytes. It is written with a unit: "512KiB", "32MiB",
// "1GiB", or the decimal "kB", "MB", "GB", or "B".
type Size int64

// units are those of Size, the longest names first, so that "B" is tried last.
var units = [...]struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// parseSize reads a size such as "32MiB" or "1.5 GB".
func parseSize(text string) (Size, error) {
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0) || n*float64(u.bytes) > math.MaxInt64/2 {
			break
		}
		return Size(n * float64(u.bytes)), nil
	}
	return 0, fmt.Errorf("%q is not a size: write it with a unit, such as 32MiB", text)
}

// String returns the size in the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range [...]int{2, 1, 0} { // GiB, MiB, KiB
		if n := int64(s) / units[u].bytes; n > 0 && n*units[u].bytes == int64(s) {
			return strconv.FormatInt(n, 10) + units[u].name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText returns what String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
