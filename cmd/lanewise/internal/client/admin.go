package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/shardmap"
)

// Repair has replicas brought back in step.
func (c *Client) Repair(ctx context.Context, how router.Repair) (router.Repaired, error) {
	body := map[string]any{"collections": how.Collections, "dry_run": how.DryRun, "per_second": how.PerSecond}
	return call[router.Repaired](ctx, c, request{method: http.MethodPost, path: []string{"v1", "admin", "repair"}, body: body})
}

// Reindexed is what a step of a reindexing has done. Cursor is that of the next step; empty: there is none.
type Reindexed struct {
	Seen   int    `json:"seen"`
	Given  int    `json:"given"`
	Cursor string `json:"cursor"`
}

// Reindex has a step of a reindexing taken.
func (c *Client) Reindex(ctx context.Context, step router.Reindex) (Reindexed, error) {
	body := map[string]any{
		"collection": step.Collection, "language": step.Language, "avg_len": step.AvgLen, "cursor": step.Cursor, "limit": step.Limit,
	}
	return call[Reindexed](ctx, c, request{http.MethodPost, []string{"v1", "admin", "reindex"}, body, nil})
}

// Reembedded is what a step of a reembedding has done. Cursor is that of the next step; empty: the new collection has caught up.
type Reembedded struct {
	From     string `json:"from"`
	Into     string `json:"into"`
	Seen     int    `json:"seen"`
	Embedded int    `json:"embedded"`
	Deleted  int    `json:"deleted"`
	Cursor   string `json:"cursor"`
	Swapped  bool   `json:"swapped"`
}

// Reembed has a step of a reembedding taken.
func (c *Client) Reembed(ctx context.Context, step router.Reembed) (Reembedded, error) {
	body := map[string]any{
		"collection": step.Collection, "space": step.Space, "cursor": step.Cursor, "limit": step.Limit, "swap": step.Swap, "replace": step.Replace,
	}
	return call[Reembedded](ctx, c, request{http.MethodPost, []string{"v1", "admin", "reembed"}, body, nil})
}

// Plan asks what the shards of a configuration file would move. The file is read by the server.
func (c *Client) Plan(ctx context.Context, file string) (shardmap.Plan, error) {
	return call[shardmap.Plan](ctx, c, request{method: http.MethodPost, path: []string{"v1", "admin", "plan"}, body: map[string]any{"config": file}})
}

// Apply has a plan carried out, with the stores of a configuration file, which the server reads.
func (c *Client) Apply(ctx context.Context, file string, how router.Move) (router.Moved, error) {
	body := map[string]any{"config": file, "plan": json.RawMessage(how.Plan), "per_second": how.PerSecond}
	return call[router.Moved](ctx, c, request{method: http.MethodPost, path: []string{"v1", "admin", "apply"}, body: body})
}

// Use is what was used in a day or a month.
type Use struct {
	Tokens int64   `json:"tokens"`
	Cost   float64 `json:"cost"`
}

// Standing is what one key or tenant has used in this day and month of UTC.
type Standing struct {
	Name  string `json:"name"`
	Day   Use    `json:"day"`
	Month Use    `json:"month"`
}

// Usage is who has used how much.
type Usage struct {
	Keys    []Standing `json:"keys"`
	Tenants []Standing `json:"tenants"`
}

// Usage asks who has used how much.
func (c *Client) Usage(ctx context.Context) (Usage, error) {
	return call[Usage](ctx, c, request{method: http.MethodGet, path: []string{"v1", "admin", "usage"}})
}

// Lane is a member of a pool.
type Lane struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Weight   float64 `json:"weight"`
	InFlight int64   `json:"in_flight"`
	Good     uint64  `json:"good"`
	Bad      uint64  `json:"bad"`
}

// Lanes lists the lanes.
func (c *Client) Lanes(ctx context.Context) ([]Lane, error) {
	out, err := call[struct {
		Lanes []Lane `json:"lanes"`
	}](ctx, c, request{method: http.MethodGet, path: []string{"v1", "admin", "lanes"}})
	return out.Lanes, err
}

// LaneOrder says what becomes of a lane.
type LaneOrder struct {
	Lane   string   `json:"lane"`
	Action string   `json:"action"` // drain, undrain, weight or eject
	Weight *float64 `json:"weight,omitempty"`
}

// LaneChange is a lane before and after an order.
type LaneChange struct {
	Before Lane `json:"before"`
	After  Lane `json:"after"`
}

// ChangeLane has an order carried out.
func (c *Client) ChangeLane(ctx context.Context, o LaneOrder) (LaneChange, error) {
	return call[LaneChange](ctx, c, request{method: http.MethodPost, path: []string{"v1", "admin", "lanes"}, body: o})
}
