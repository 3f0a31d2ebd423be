package jwt

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/lanewise/lanewise/access"
)

// mostSeen bounds the tokens that are remembered: about 2 MB.
const mostSeen = 10_000

// trusted is what one reading of the key file gave, and the tokens believed since.
type trusted struct {
	keys keySet
	seen *seen
}

// seen remembers the callers of tokens that were believed, since to verify a signature costs many times as much. It is of one
// reading of the key file, so a key that is taken out takes its tokens with it. Safe for concurrent use.
type seen struct {
	mu      sync.RWMutex
	callers map[[sha256.Size]byte]believed
}

type believed struct {
	caller access.Caller
	until  time.Time
}

// of returns the caller of a token that was believed, as long as it is valid.
func (s *seen) of(token *[sha256.Size]byte) (access.Caller, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.callers[*token]
	return b.caller, ok && time.Now().Before(b.until)
}

// enter remembers a token. Where there are too many it takes the place of any other.
func (s *seen) enter(token *[sha256.Size]byte, b believed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.callers {
		if len(s.callers) < mostSeen {
			break
		}
		delete(s.callers, other)
	}
	s.callers[*token] = b
}
