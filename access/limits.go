package access

import (
	"errors"
	"iter"
	"math"

	"github.com/lanewise/lanewise/fault"
)

// Limits are what a caller or a tenant may use. A zero field is no limit. Tokens are those of language models, those
// asked and those answered together, and of the texts that are embedded; cost is in the currency of the models' prices.
type Limits struct {
	RequestsPerMinute int     `json:"requests_per_minute,omitzero" yaml:"requests_per_minute,omitempty"` // default: no limit
	TokensPerMinute   int     `json:"tokens_per_minute,omitzero" yaml:"tokens_per_minute,omitempty"`     // default: no limit
	TokensPerDay      int     `json:"tokens_per_day,omitzero" yaml:"tokens_per_day,omitempty"`           // of UTC. Default: no limit
	TokensPerMonth    int     `json:"tokens_per_month,omitzero" yaml:"tokens_per_month,omitempty"`       // of UTC. Default: no limit
	CostPerDay        float64 `json:"cost_per_day,omitzero" yaml:"cost_per_day,omitempty"`               // default: no limit
	CostPerMonth      float64 `json:"cost_per_month,omitzero" yaml:"cost_per_month,omitempty"`           // default: no limit
}

// Budgeted reports whether some of the limits are by the day or the month.
func (l Limits) Budgeted() bool {
	return l.TokensPerDay != 0 || l.TokensPerMonth != 0 || l.CostPerDay != 0 || l.CostPerMonth != 0
}

// Check is fault.Invalid where a limit makes no sense, and names each that does not.
func (l Limits) Check() error {
	var errs []error
	for name, value := range l.All() {
		if !(value >= 0) || math.IsInf(value, 0) {
			errs = append(errs, fault.New(fault.Invalid, "%s: must not be negative, is %v", name, value))
		}
	}
	return errors.Join(errs...)
}

// All yields each limit with its name in files, in their order.
func (l Limits) All() iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		_ = yield("requests_per_minute", float64(l.RequestsPerMinute)) && yield("tokens_per_minute", float64(l.TokensPerMinute)) &&
			yield("tokens_per_day", float64(l.TokensPerDay)) && yield("tokens_per_month", float64(l.TokensPerMonth)) &&
			yield("cost_per_day", l.CostPerDay) && yield("cost_per_month", l.CostPerMonth)
	}
}
