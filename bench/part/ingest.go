package part

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Ingest writes drawn points to a server.
type Ingest struct {
	Name     string // of a collection that is created, and dropped in the end
	N, Dims  int
	Batch    int // points a request
	Parallel int // requests at a time
}

// Server is where they are written to.
type Server interface {
	Create(ctx context.Context, collection string, dims int) error
	Put(ctx context.Context, collection string, points []search.Point) error
	Drop(ctx context.Context, collection string) error
}

// Run writes one round.
func (i Ingest) Run(ctx context.Context, s Server, r *bench.Report) (err error) {
	if i.Batch < 1 || i.Parallel < 1 || i.Parallel > 1000 {
		return fault.New(fault.Invalid, "batches of %d points, %d at a time: both must be at least 1", i.Batch, i.Parallel)
	}
	points, err := data.Spec{Kind: "clustered", N: i.N, Dims: i.Dims, Seed: 1}.Points()
	if err != nil {
		return err
	}
	if err := s.Create(ctx, i.Name, i.Dims); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Drop(context.WithoutCancel(ctx), i.Name)) }()
	took := bench.NewRecorder(0)
	start := time.Now()
	writing, ctx := errgroup.WithContext(ctx)
	writing.SetLimit(i.Parallel)
	for len(points) > 0 && ctx.Err() == nil {
		some := points[:min(i.Batch, len(points))]
		points = points[len(some):]
		writing.Go(func() error {
			began := time.Now()
			err := s.Put(ctx, i.Name, some)
			took.Record(0, time.Since(began))
			return err
		})
	}
	if err := writing.Wait(); err != nil {
		return err
	}
	r.Add(fmt.Sprintf("%d x %d, %d a request, %d at a time", i.N, i.Dims, i.Batch, i.Parallel), []bench.Figure{
		{Name: "written", Unit: "points/s", Better: bench.Higher, Rounds: []float64{float64(i.N) / time.Since(start).Seconds()}},
		bench.Millis("request p50", bench.Lower, took.Distribution().Quantile(0.5)), bench.Millis("request p99", bench.Lower, took.Distribution().Quantile(0.99)),
	})
	r.Note("a request begins when an earlier one has ended: its times are those of a bulk load, and not of one at a given rate")
	return nil
}
