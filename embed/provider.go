package embed

import "github.com/lanewise/lanewise/fault"

// Prefixed returns the texts of b as the space's model reads them, each with the
// prefix of b's task. What it returns may be b.Texts itself.
func (b Batch) Prefixed(s Space) []string {
	if s.Prefixed("", b.Task) == "" {
		return b.Texts
	}
	out := make([]string, len(b.Texts))
	for i, text := range b.Texts {
		out[i] = s.Prefixed(text, b.Task)
	}
	return out
}

// Collect joins the rows of an upstream's answer, one for each of so many texts.
// All must have dims numbers; dims 0 accepts any length that they share. What
// does not fit is fault.Unavailable.
func Collect[V ~[]float32](rows []V, texts, dims int) (Vectors, error) {
	if len(rows) != texts {
		return Vectors{}, fault.New(fault.Unavailable, "%d vectors for %d texts", len(rows), texts)
	}
	if dims == 0 && len(rows) > 0 {
		dims = len(rows[0])
	}
	v := Vectors{Dims: dims, Data: make([]float32, 0, texts*dims)}
	for i, row := range rows {
		if len(row) != dims || dims == 0 {
			return Vectors{}, fault.New(fault.Unavailable, "vector %d has %d dims, not %d", i, len(row), dims)
		}
		v.Data = append(v.Data, row...)
	}
	return v, nil
}

// Preset returns the limits that a kind of server is known to have: "openai",
// "azure", "vertex", "infinity", "tei" or "cohere". They are where an [Embedder]
// starts from: it lowers them as it learns. ok is false for other names.
func Preset(server string) (limits Limits, ok bool) {
	switch server {
	case "openai", "azure":
		return Limits{Inputs: 2048, Tokens: 300_000}, true
	case "vertex":
		return Limits{Inputs: 250, Tokens: 20_000}, true
	case "infinity":
		return Limits{Inputs: 2048}, true
	case "tei": // 2 MB of body: a text takes more room in JSON than by itself
		return Limits{Inputs: 32, Bytes: 1_800_000}, true
	case "cohere":
		return Limits{Inputs: 96}, true
	}
	return Limits{}, false
}
