package llm

import "sync"

// lengths is what answers of each model usually have, in tokens: a moving average,
// in which an answer weighs a tenth.
type lengths struct {
	mu    sync.Mutex
	known map[string]float64
}

// maxModels bounds the models that are told apart; others share one average.
const maxModels = 256

// expect returns the usual length of an answer.
func (l *lengths) expect(model string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if usual, ok := l.known[l.name(model)]; ok {
		return max(int(usual+0.5), 1)
	}
	return expectedTokens
}

// learn enters an answer's reported length.
func (l *lengths) learn(model string, tokens int) {
	if tokens <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = make(map[string]float64)
	}
	model = l.name(model)
	usual, ok := l.known[model]
	if !ok {
		usual = expectedTokens
	}
	l.known[model] = usual + (float64(min(tokens, mostTokens))-usual)/10
}

func (l *lengths) name(model string) string {
	if _, ok := l.known[model]; !ok && len(l.known) >= maxModels {
		return ""
	}
	return model
}
