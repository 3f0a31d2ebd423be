package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// ID returns a stable text for the space, for collection descriptors, requests
// and messages: the model, "@" and the revision if there is one, "-" and the
// dims; then "-raw" if vectors are not normalized and "-p" with a short hash if
// there are prefixes. The plain case reads "static-256". Two spaces have the same
// ID if and only if they are equal (up to a hash of 48 bits over the prefixes).
func (s Space) ID() string {
	// An "@" of the model itself is escaped, so the first one begins the revision.
	id := strings.ReplaceAll(strings.ReplaceAll(s.Model, "%", "%25"), "@", "%40")
	if s.Revision != "" {
		id += "@" + s.Revision
	}
	id += "-" + strconv.Itoa(s.Dims)
	if !s.Normalized {
		id += "-raw"
	}
	if s.QueryPrefix != "" || s.DocumentPrefix != "" {
		lengths := strconv.Itoa(len(s.QueryPrefix)) + ":" // tells where the one ends
		sum := sha256.Sum256([]byte(lengths + s.QueryPrefix + s.DocumentPrefix))
		id += "-p" + hex.EncodeToString(sum[:6])
	}
	return id
}

// Compatible reports whether vectors of s and other may be compared: only if the
// spaces are equal in every field.
func (s Space) Compatible(other Space) bool { return s == other }

// Prefixed returns text as the space's model reads it for the task: with its
// prefix, if there is one. Providers call it; callers of a provider do not.
func (s Space) Prefixed(text string, task Task) string {
	if task == QueryTask {
		return s.QueryPrefix + text
	}
	return s.DocumentPrefix + text
}
