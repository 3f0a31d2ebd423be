package openaiwire

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// keyring holds the keys of one server, which are used in turn: each has limits
// of its own. A key that is refused is never used again; one that is told to
// wait is left alone for as long. A single key is always used, since whoever
// calls knows best when to try a lonely server again.
type keyring struct {
	mu   sync.Mutex
	keys []ringKey
	next int
}

// ringKey is one key and how it stands.
type ringKey struct {
	text  string
	dead  error // why it was refused
	after time.Time
}

// newKeyring checks keys and leaves empty ones out. Its error names no key.
func newKeyring(keys []string) (*keyring, error) {
	k := &keyring{}
	for _, text := range keys {
		text = strings.TrimSpace(text)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fault.BadField("/key", "contains control characters")
		}
		if text != "" {
			k.keys = append(k.keys, ringKey{text: text})
		}
	}
	if len(k.keys) == 0 {
		k.keys = []ringKey{{}} // none is sent
	}
	return k, nil
}

// busyKey is how long a key is left alone that was told to wait, but not how long.
const busyKey = time.Second

// pick returns the next key that may be used, or the error that says why there
// is none.
func (k *keyring) pick() (at int, text string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 1 {
		return 0, k.keys[0].text, nil
	}
	now := time.Now()
	var soonest time.Time
	var dead []error
	for range k.keys {
		at = k.next
		k.next = (k.next + 1) % len(k.keys)
		switch key := &k.keys[at]; {
		case key.dead != nil:
			dead = append(dead, key.dead)
		case key.after.After(now):
			if soonest.IsZero() || key.after.Before(soonest) {
				soonest = key.after
			}
		default:
			return at, key.text, nil
		}
	}
	if soonest.IsZero() {
		return 0, "", fault.Wrap(fault.Refused, "every key was refused", errors.Join(dead...))
	}
	return 0, "", fault.Busy(soonest.Sub(now), "every key that is not refused was told to wait")
}

// judge enters what became of a call with the key at a position, and reports
// whether another key may do better.
func (k *keyring) judge(at int, err error) (again bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 1 {
		return false
	}
	switch key := &k.keys[at]; {
	case errors.Is(err, fault.Refused):
		key.dead = err
	case errors.Is(err, fault.Overloaded):
		key.after = time.Now().Add(max(fault.RetryAfter(err), busyKey))
	default:
		return false
	}
	now := time.Now()
	for _, key := range k.keys {
		if key.dead == nil && !key.after.After(now) {
			return true
		}
	}
	return false
}

// hide replaces every key in a text.
func (k *keyring) hide(text string) string {
	for i := range k.keys { // their texts never change
		if key := k.keys[i].text; key != "" {
			text = strings.ReplaceAll(text, key, "[key]")
		}
	}
	return text
}
