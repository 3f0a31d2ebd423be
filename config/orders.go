package config

import (
	"maps"
	"strings"
	"sync"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
)

// orders are what an operator has told the lanes of upstreams by hand. They outlast a reload that makes a lane anew, for the members
// that it leaves where they are; the router's own lanes are never made anew.
type orders struct {
	mu   sync.Mutex
	lane map[string]order // by its name
}

// order is what one lane was told.
type order struct {
	url     string // of the upstream
	drained bool
	weight  float64 // 0: nothing
}

// noted has a lane's orders kept. Ejections are not: the next lane finds out for itself.
func (o *orders) noted(l httpapi.Lane, url string) httpapi.Lane {
	steer, reweigh := l.Steer, l.Reweigh
	l.Steer = func(to balance.State) error {
		err := steer(to)
		if err == nil && to != balance.Ejected {
			o.note(l.Name, url, func(now *order) { now.drained = to == balance.Draining })
		}
		return err
	}
	l.Reweigh = func(weight float64) error {
		err := reweigh(weight)
		if err == nil {
			o.note(l.Name, url, func(now *order) { now.weight = weight })
		}
		return err
	}
	return l
}

func (o *orders) note(lane, url string, change func(*order)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.lane[lane]
	change(&now)
	if now.url = url; !now.drained && now.weight == 0 {
		delete(o.lane, lane)
		return
	}
	if o.lane == nil {
		o.lane = map[string]order{}
	}
	o.lane[lane] = now
}

// repeat gives the lanes of the system in force the orders that they had. One that cannot be carried out any more, as that of the last
// member that is left, is passed over.
func (s *System) repeat() {
	s.orders.mu.Lock()
	given := maps.Clone(s.orders.lane)
	s.orders.mu.Unlock()
	if len(given) == 0 {
		return
	}
	now := s.live.Load()
	for _, l := range now.upstreamLanes() {
		o, ok := given[l.Name]
		if !ok || o.url != now.urls[upstreamOf(l.Name)] {
			continue
		}
		var err error
		if o.weight > 0 {
			err = l.Reweigh(o.weight)
		}
		if o.drained && err == nil {
			err = l.Steer(balance.Draining)
		}
		if err != nil {
			s.log.Warn("a lane was made anew, and what it had been ordered to does not hold any more", "lane", l.Name, "error", err)
		}
	}
}

// upstreamOf is the section and name of the upstream that a lane stands for: a member that is found has its address behind that.
func upstreamOf(lane string) string {
	section, rest, _ := strings.Cut(lane, "/")
	name, _, _ := strings.Cut(rest[strings.LastIndex(rest, "/")+1:], "@")
	return section + "/" + name
}

// urls are those of the upstreams, by section and name.
func (c *Config) urls() map[string]string {
	out := map[string]string{}
	for _, u := range c.Embed.Upstreams {
		out["embed/"+u.Name] = u.URL
	}
	for _, u := range c.Rerank.Upstreams {
		out["rerank/"+u.Name] = u.URL
	}
	for _, u := range c.LLM.Upstreams {
		out["llm/"+u.Name] = u.URL
	}
	return out
}
