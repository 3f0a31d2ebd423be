package balance

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Hooks may put something into the context of each attempt, and hear of its end.
func TestTrace_entersAttempts(t *testing.T) {
	type mark struct{}
	synctest.Test(t, func(t *testing.T) {
		var ends []string
		hook := func(name string) *Trace {
			return &Trace{Enter: func(ctx context.Context, a Attempt) (context.Context, func(Attempt)) {
				before, _ := ctx.Value(mark{}).(string)
				return context.WithValue(ctx, mark{}, before+name+" "+a.Member+" "+string(a.Reason)+";"), func(a Attempt) {
					ends = append(ends, name+" "+a.Member)
					if a.Cost != 7 && a.Won || a.Took != time.Millisecond {
						t.Errorf("%s: %+v", name, a)
					}
				}
			}}
		}
		p := newPool(t, Config{Trace: hook("pool")}, server{name: "a", after: time.Millisecond, err: errDown}, server{name: "b", after: time.Millisecond})
		ctx := WithTrace(WithTrace(t.Context(), &Trace{}), hook("call"))
		got, err := Do(ctx, p, Call{Cost: 3}, func(ctx context.Context, s server) (string, error) {
			if _, err := ask(ctx, s); err != nil {
				return "", err
			}
			Settle(ctx, 7)
			text, _ := ctx.Value(mark{}).(string)
			return text, nil
		})
		if want := "pool b failover;call b failover;"; got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if want := []string{"pool a", "call a", "pool b", "call b"}; !slices.Equal(ends, want) {
			t.Errorf("ended %q", ends)
		}
		_ = p.Close()
		idle(t, p)
	})
}
